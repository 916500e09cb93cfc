/** The one error of a load: nothing could be measured. The message is for who started it. */
export class LoadError extends Error {
  override readonly name = "LoadError";
}
