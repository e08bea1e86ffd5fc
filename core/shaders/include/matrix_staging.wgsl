// A kernel for matrix units stages operands in `halves` and reads results from `reals`. It defines their lengths in
// vec4s: HALVES and REALS.

enable f16;

const SIDE: u32 = 16; // rows and columns of a piece

var<workgroup> halves: array<vec4<f16>, HALVES>;
var<workgroup> reals: array<vec4f, REALS>;
