// The whole package as one bundled module.
export * from "@holdfast-dev/holdfast";
