/** What the tests need of oidc-provider, which comes without types. */
declare module 'oidc-provider' {
  import { type RequestListener } from 'node:http';

  interface Configuration {
    clients: object[];
    jwks: { keys: object[] };
    adapter: new () => object;
    scopes: string[];
    features: object;
    extraTokenClaims: (context: unknown, token: { clientId?: string }) => object;
  }

  export default class Provider {
    constructor(issuer: string, configuration: Configuration);
    callback(): RequestListener;
  }
}
