/** Where the demo keeps everything but its settings. */
export const database = "holdfast-demo";
