/** What the page is made of once it is ready for a browser. */

export interface PageFile {
  /** Media type. */
  readonly type: string;
  readonly body: string;
}

/** By path, such as `/page/main.js`. */
export type PageFiles = Readonly<Record<string, PageFile>>;
