export type Point = readonly [x: number, y: number];
/** Colours of a gradient by their place in percent, as #rrggbb or #rrggbbaa. */
export type Stops = Readonly<Record<number, string>>;

/** An SVG element. Its numbers are rounded to two decimals, because more is invisible and makes the SVG longer. */
export function element(name: string, attributes: Record<string, string | number>, content = ''): string {
  const text = Object.entries(attributes).map(([key, value]) => ` ${key}="${round(value)}"`);
  return `<${name}${text.join('')}>${content}</${name}>`;
}

/** A gradient from top to bottom of the shape that it fills. */
export function verticalGradient(id: string, stops: Stops): string {
  return element('linearGradient', { id, x2: 0, y2: 1 }, stopElements(stops));
}

/** A gradient from the centre of the shape that it fills. `r` is its radius as a fraction of the shape's width. */
export function radialGradient(id: string, stops: Stops, r = 0.5): string {
  return element('radialGradient', { id, r }, stopElements(stops));
}

/** A rectangle of the image's full width. */
export function band(y: number, height: number, fill: string): string {
  return element('rect', { y, width: '100%', height, fill });
}

/** Path data of straight lines between the points. */
export function polyline(points: readonly Point[]): string {
  return `M${points.map((point) => point.map(round).join(' ')).join('L')}`;
}

function stopElements(stops: Stops): string {
  const entries = Object.entries(stops);
  return entries.map(([at, color]) => element('stop', { offset: `${at}%`, 'stop-color': color })).join('');
}

function round(value: string | number): string | number {
  return typeof value === 'number' ? Math.round(value * 100) / 100 : value;
}
