/** The part of oidc-provider that the tests use. The package has no types of its own. */
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
