import { request } from 'undici';

/** Longer than any service needs. */
const TIMEOUT_MS = 5_000;
/** The replaced key stays valid so long that its requests in flight end, and that a rotation whose answer was lost can be repeated. */
const GRACE_SECONDS = 60;

const KEY_ID = '{ viewer { keyId } }';
const ROTATE = `mutation Rotate($id: ID!) {
  rotateApiKey(input: { id: $id, gracePeriodSeconds: ${GRACE_SECONDS} }) { secret userErrors { code message } }
}`;
const IMAGES = 'query Images($first: Int!) { tasks(first: $first) { nodes { images { url } } } }';

/** A client of the service, with the API key that the load uses too. */
export class ChaosClient {
  constructor(
    /** URL of the load balancer. */
    readonly url: string,
    public apiKey: string,
  ) {}

  /** Replaces the API key. Returns whether the service did it. Otherwise the old key stays in use. */
  async rotateKey(): Promise<boolean> {
    const viewer = await this.execute<{ viewer: { keyId: string } }>(KEY_ID);
    const rotated = await this.execute<{ rotateApiKey: { secret: string | null } }>(ROTATE, {
      id: viewer?.viewer.keyId,
    });
    const secret = rotated?.rotateApiKey.secret;
    if (!secret) return false;
    this.apiKey = secret;
    return true;
  }

  /** Reads the images of recent tasks, whatever the answer is. */
  async readImages(count: number): Promise<void> {
    const page = await this.execute<{ tasks: { nodes: { images: { url: string }[] }[] } }>(IMAGES, {
      first: count,
    });
    const urls = page?.tasks.nodes.flatMap(({ images }) => images.map(({ url }) => url)) ?? [];
    await Promise.all(urls.map((url) => readAll(url)));
  }

  /** The data of the answer. Null if the service did not give any in time. */
  private async execute<Data>(query: string, variables?: object): Promise<Data | null> {
    try {
      const { body } = await request(`${this.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${this.apiKey}` },
        body: JSON.stringify({ query, variables }),
        reset: true,
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      return ((await body.json()) as { data?: Data | null }).data ?? null;
    } catch {
      return null;
    }
  }
}

async function readAll(url: string): Promise<void> {
  try {
    const { body } = await request(url, { reset: true, signal: AbortSignal.timeout(TIMEOUT_MS) });
    await body.dump();
  } catch {
    // The store hangs, so this is expected. The service must survive it.
  }
}
