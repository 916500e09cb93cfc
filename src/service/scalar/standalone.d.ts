/** A file of the package: what is imported is the path at which it can be read. */

declare module "*.js.gz" {
  const path: string;
  export default path;
}
