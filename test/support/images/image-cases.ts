import { deflateSync } from 'node:zlib';
import crc32 from 'crc-32';
import sharp, { type Sharp } from 'sharp';

export type CaseFormat = 'png' | 'jpeg' | 'webp' | 'gif' | 'avif';

export interface ImageCase {
  format: CaseFormat;
  bytes: Buffer;
  /** Where an upload is treated otherwise than Chromium shows it: the treatment and its reason. */
  exception?: { accepted: boolean; reason: string };
}

const SIDE = 200;
/** Pixels that do not compress, so that every byte of a file matters. */
const NOISE = Buffer.from(Array.from({ length: SIDE * SIDE * 3 }, (_, at) => (at * 7919) % 251));
const noise = () => sharp(NOISE, { raw: { width: SIDE, height: SIDE, channels: 3 } });
const half = () => noise().ensureAlpha(0.5);
const plain = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: '#c04020' } });
/** Three frames. */
async function animation(): Promise<Sharp> {
  const colors = ['#f00', '#0f0', '#00f'];
  const frames = colors.map((background) =>
    sharp({ create: { width: 40, height: 30, channels: 3, background } })
      .png()
      .toBuffer(),
  );
  return sharp(await Promise.all(frames), { join: { animated: true } });
}

/** Whole images over formats, depths, profiles and metadata. */
async function wholeImages(): Promise<[string, Promise<Buffer>][]> {
  const exif = { IFD0: { Artist: 'a' }, IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '48/1 8/1 0/1' } };
  const files: [string, Promise<Buffer>][] = [];
  const add = (name: string, image: Sharp) => void files.push([name, image.toBuffer()]);
  for (const colors of [2, 4, 16, 256])
    add(`png of ${colors} colors`, noise().png({ palette: true, colors }));
  for (const compressionLevel of [0, 9])
    add(`png compressed ${compressionLevel}`, noise().png({ compressionLevel }));
  for (const progressive of [false, true]) {
    const kind = progressive ? 'interlaced' : 'plain';
    add(`png ${kind}`, noise().png({ progressive }));
    add(`png ${kind} 16 bit`, noise().toColourspace('rgb16').png({ progressive }));
    add(`png ${kind} gray`, noise().toColourspace('b-w').png({ progressive }));
    add(`png ${kind} gray 16 bit`, noise().toColourspace('grey16').png({ progressive }));
    add(`png ${kind} alpha`, half().png({ progressive }));
    add(`png ${kind} gray alpha`, half().toColourspace('b-w').png({ progressive }));
    add(`jpeg ${kind}`, noise().jpeg({ progressive }));
    add(`jpeg ${kind} gray`, noise().toColourspace('b-w').jpeg({ progressive }));
    add(`jpeg ${kind} cmyk`, noise().toColourspace('cmyk').jpeg({ progressive }));
    add(`jpeg ${kind} 4:4:4`, noise().jpeg({ progressive, chromaSubsampling: '4:4:4' }));
    add(`gif ${kind}`, noise().gif({ progressive }));
  }
  for (const quality of [1, 25, 50, 75, 100]) add(`jpeg quality ${quality}`, noise().jpeg({ quality }));
  add('jpeg mozjpeg', noise().jpeg({ mozjpeg: true }));
  for (let orientation = 1; orientation <= 8; orientation += 1)
    add(`jpeg orientation ${orientation}`, noise().withMetadata({ orientation }).jpeg());
  for (const format of ['png', 'jpeg', 'webp', 'avif'] as const) {
    add(`${format} P3`, noise().withIccProfile('p3').toFormat(format));
    add(`${format} sRGB profile`, noise().withIccProfile('srgb').toFormat(format));
    add(`${format} exif`, noise().withExif(exif).toFormat(format));
    add(`${format} xmp`, noise().withXmp('<x:xmpmeta xmlns:x="adobe:ns:meta/"/>').toFormat(format));
  }
  for (const format of ['png', 'jpeg', 'webp', 'gif', 'avif'] as const) {
    add(`${format} of one color`, plain(64, 48).toFormat(format));
    add(`${format} long row`, plain(3_000, 2).toFormat(format));
    add(`${format} small`, plain(16, 16).toFormat(format));
  }
  add('png large', plain(5_000, 4_000).png());
  add('jpeg large', plain(5_000, 4_000).jpeg());
  add('webp large', plain(4_000, 3_000).webp());
  add('webp lossless large', plain(6_000, 4_000).webp({ lossless: true, effort: 0 }));
  add('gif large', plain(4_000, 3_000).gif());
  add('avif large', plain(4_000, 3_000).avif({ effort: 0 }));
  add('webp lossless', noise().webp({ lossless: true }));
  add('webp near-lossless', noise().webp({ nearLossless: true }));
  add('webp alpha', half().webp());
  add('webp lossless alpha', half().webp({ lossless: true }));
  add('webp animated', (await animation()).webp());
  add('gif animated', (await animation()).gif());
  add('gif of 2 colors', noise().gif({ colors: 2 }));
  add('gif alpha', half().gif());
  add('avif alpha', half().avif());
  add('avif lossless', noise().avif({ lossless: true }));
  add('avif 4:2:0', noise().avif({ chromaSubsampling: '4:2:0' }));
  return files;
}

function chunk(type: string, data: Buffer, { checksum }: { checksum?: number } = {}): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, end] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  end.writeInt32BE(checksum ?? crc32.buf(body));
  return Buffer.concat([length, body, end]);
}

/** A PNG of our own, with these chunks before its pixels. */
function png({
  before = [],
  pixels = deflateSync(Buffer.alloc(16 * 49, 1)),
  end = [chunk('IEND', Buffer.alloc(0))],
  split = 1,
}: { before?: Buffer[]; pixels?: Buffer; end?: Buffer[]; split?: number } = {}): Buffer {
  const header = Buffer.from([0, 0, 0, 16, 0, 0, 0, 16, 8, 2, 0, 0, 0]);
  const step = Math.ceil(pixels.length / split);
  const data = Array.from({ length: split }, (_, at) =>
    chunk('IDAT', pixels.subarray(at * step, (at + 1) * step)),
  );
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    chunk('IHDR', header),
    ...before,
    ...data,
    ...end,
  ]);
}

/** Files made by hand: what real encoders, editors and broken tools write. */
async function handMade(): Promise<[string, Buffer, ImageCase['exception']?][]> {
  const jpeg = await noise().jpeg().toBuffer();
  const afterStart = (...parts: Buffer[]) => Buffer.concat([jpeg.subarray(0, 2), ...parts, jpeg.subarray(2)]);
  const segment = (marker: number, data: Buffer) =>
    Buffer.concat([Buffer.from([0xff, marker, (data.length + 2) >> 8, (data.length + 2) & 255]), data]);
  const text = Buffer.from('Comment\0text');
  const profile = Buffer.concat([Buffer.from('icc\0\0'), deflateSync(Buffer.from('not a profile'))]);
  const rows = deflateSync(Buffer.alloc(16 * 49, 1));
  const badRows = chunk('IDAT', rows, { checksum: 1 });
  const noEnd = { accepted: true, reason: 'all pixels are there' };
  return [
    ['png by hand', png()],
    ['png with 20 data chunks', png({ split: 20 })],
    [
      'png with an empty data chunk',
      png({ end: [chunk('IDAT', Buffer.alloc(0)), chunk('IEND', Buffer.alloc(0))] }),
    ],
    ['png with text', png({ before: [chunk('tEXt', text)] })],
    ['png with text and a wrong checksum', png({ before: [chunk('tEXt', text, { checksum: 1 })] })],
    ['png with a broken profile', png({ before: [chunk('iCCP', profile)] })],
    ['png with gamma 0', png({ before: [chunk('gAMA', Buffer.alloc(4))] })],
    [
      'png with sRGB twice',
      png({ before: [chunk('sRGB', Buffer.alloc(1)), chunk('sRGB', Buffer.alloc(1))] }),
    ],
    ['png with an unknown optional chunk', png({ before: [chunk('abCd', text)] })],
    ['png with an unknown necessary chunk', png({ before: [chunk('ABCD', text)] })],
    ['png with a short physical size', png({ before: [chunk('pHYs', Buffer.alloc(3))] })],
    ['png with a time of zeros', png({ before: [chunk('tIME', Buffer.alloc(7))] })],
    ['png with exif that is none', png({ before: [chunk('eXIf', text)] })],
    ['png without its end', png({ end: [] }), noEnd],
    [
      'png with a wrong checksum at its end',
      png({ end: [chunk('IEND', Buffer.alloc(0), { checksum: 1 })] }),
      noEnd,
    ],
    [
      'png with a wrong checksum of its pixels',
      Buffer.concat([
        png({ pixels: Buffer.alloc(0), end: [] }).subarray(0, -12),
        badRows,
        chunk('IEND', Buffer.alloc(0)),
      ]),
    ],
    ['png without pixels', png({ pixels: Buffer.alloc(0) })],
    ['png with too few rows', png({ pixels: deflateSync(Buffer.alloc(8 * 49, 1)) })],
    ['png with too many rows', png({ pixels: deflateSync(Buffer.alloc(40 * 49, 1)) })],
    ['jpeg with a comment', afterStart(segment(0xfe, text))],
    ['jpeg with a long comment', afterStart(segment(0xfe, Buffer.alloc(60_000, 'c')))],
    ['jpeg with exif that is none', afterStart(segment(0xe1, Buffer.from('Exif\0\0nonsense')))],
    ['jpeg with a cut profile', afterStart(segment(0xe2, Buffer.from('ICC_PROFILE\0\x01\x02nonsense')))],
    ['jpeg with an unknown segment', afterStart(segment(0xef, text))],
    ['jpeg with fill bytes', afterStart(Buffer.from([0xff, 0xff, 0xff]))],
    ['jpeg with bytes between segments', afterStart(Buffer.from([0, 0, 0]))],
    [
      'jpeg with bytes before its end',
      Buffer.concat([jpeg.subarray(0, -2), Buffer.alloc(64), jpeg.subarray(-2)]),
    ],
    ['jpeg twice', Buffer.concat([jpeg, jpeg])],
    ['jpeg with bytes before it', Buffer.concat([Buffer.from('\r\n'), jpeg])],
  ];
}

const DAMAGED: [string, CaseFormat, () => Sharp][] = [
  ['png', 'png', () => noise().png()],
  ['interlaced png', 'png', () => noise().png({ progressive: true })],
  ['jpeg', 'jpeg', () => noise().jpeg()],
  ['progressive jpeg', 'jpeg', () => noise().jpeg({ progressive: true })],
  ['webp', 'webp', () => noise().webp()],
  ['lossless webp', 'webp', () => noise().webp({ lossless: true })],
  ['gif', 'gif', () => noise().gif()],
  ['avif', 'avif', () => noise().avif()],
];

/** The same damage for each encoding. */
function damage(bytes: Buffer): [string, Buffer][] {
  const share = (part: number) => Math.floor(bytes.length * part);
  const flipped = (part: number) => {
    const copy = Buffer.from(bytes);
    for (let at = share(part); at < share(part) + 4; at += 1) copy[at] = (copy[at] ?? 0) ^ 0x5a;
    return copy;
  };
  return [
    ...[0.01, 0.35, 0.7, 0.9].map(
      (part) => [`cut at ${Math.round(part * 100)} %`, bytes.subarray(0, share(part))] as [string, Buffer],
    ),
    ...[1, 2, 4].map((count) => [`without ${count} bytes`, bytes.subarray(0, -count)] as [string, Buffer]),
    ...[0.3, 0.6].map(
      (part) => [`changed at ${Math.round(part * 100)} %`, flipped(part)] as [string, Buffer],
    ),
    ['zeros from 60 %', Buffer.from(bytes).fill(0, share(0.6))],
    ['with bytes behind it', Buffer.concat([bytes, Buffer.alloc(100, 'x')])],
  ];
}

/** All cases by name. */
export async function makeImageCases(): Promise<Map<string, ImageCase>> {
  const cases = new Map<string, ImageCase>();
  const formatOf = (name: string) => name.split(' ')[0] as CaseFormat;
  for (const [name, bytes] of await wholeImages())
    cases.set(name, { format: formatOf(name), bytes: await bytes });
  for (const [name, bytes, exception] of await handMade())
    cases.set(name, { format: formatOf(name), bytes, ...(exception && { exception }) });
  for (const [name, format, make] of DAMAGED) {
    for (const [what, bytes] of damage(await make().toBuffer())) {
      const isHidden = format === 'avif' && /changed|zeros/.test(what);
      const exception = { accepted: false, reason: 'libaom refuses pixels that Chromium makes up' };
      cases.set(`${name} ${what}`, { format, bytes, ...(isHidden && { exception }) });
    }
  }
  return cases;
}
