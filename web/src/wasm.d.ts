// What a bundler makes of the WebAssembly: its address, for the option `wasm` of `open`.

declare module "@holdfast-dev/holdfast/holdfast.wasm" {
  const address: string;
  export default address;
}

declare module "@holdfast-dev/holdfast/holdfast.wasm?url" {
  const address: string;
  export default address;
}
