// A kernel for matrix units stages operands in `halves` and gets results from `reals`, and says how long they
// are: HALVES and REALS, in vec4s.

enable f16;

const SIDE: u32 = 16; // rows and columns of a piece

var<workgroup> halves: array<vec4<f16>, HALVES>;
var<workgroup> reals: array<vec4f, REALS>;
