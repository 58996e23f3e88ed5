import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ChildProgram } from '../app/child-program.js';
import { TestApp } from '../app/test-app.js';

type Service = ChildProgram<{ url: string; firstApiKey: string | null }>;

interface SkewedInstanceOptions {
  name: string;
  offsetMs: number;
  databaseUrl: string;
  dataDir: string;
  /** The key that an earlier instance has created. */
  apiKey?: string;
  environment: Record<string, string>;
}

/** An instance in a process of its own, whose clock is wrong. */
export class SkewedInstance {
  private constructor(
    private readonly offsetFile: string,
    /** Sends requests to it. */
    readonly app: TestApp,
  ) {}

  static async start(options: SkewedInstanceOptions): Promise<SkewedInstance> {
    const { name, offsetMs, databaseUrl, dataDir, apiKey, environment } = options;
    const offsetFile = join(dataDir, `clock-offset-${name}`);
    await writeFile(offsetFile, String(offsetMs));
    const service: Service = await ChildProgram.start(
      'test/support/app/service-main.ts',
      {
        ...{
          DATABASE_URL: databaseUrl,
          DATA_DIR: dataDir,
          PORT: '0',
          LOG_LEVEL: 'error',
          CLOCK_OFFSET_FILE: offsetFile,
        },
        ...environment,
      },
      ['./bench/support/clock-offset.ts'],
    );
    const key = apiKey ?? service.ready.firstApiKey ?? '';
    const stop = () => service.terminate('SIGTERM').then(() => undefined);
    const app = TestApp.attach({ ...service.ready, stop }, databaseUrl, key);
    return new SkewedInstance(offsetFile, app);
  }

  /** Makes the clock jump to this offset. */
  async setOffset(offsetMs: number): Promise<void> {
    await writeFile(this.offsetFile, String(offsetMs));
  }

  async stop(): Promise<void> {
    await this.app.stop();
  }
}
