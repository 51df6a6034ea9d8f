// Prelude: invocation.
//
// sgn(x)√|x| of every real and imaginary part, and the pullback.
//
// Twin of `SignedRoot` in `crates/wavelet/src/operators/pointwise.rs`, which takes
// roots in f64; the sub-gradient at 0 is 0.

/// Sizes of one field.
struct SignedRootSizes {
    /// Real numbers of all maps.
    numbers: u32,
}

@group(0) @binding(0) var<uniform> sizes: SignedRootSizes;
@group(0) @binding(1) var<storage, read> x: array<real>;
@group(0) @binding(2) var<storage, read> cotangent: array<real>;
@group(0) @binding(3) var<storage, read_write> destination: array<real>;

// y = sgn(x)√|x|.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.numbers {
        return;
    }
    destination[index] = sign(x[index]) * sqrt(abs(x[index]));
}

// x gradient += y gradient / 2√|x|.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.numbers {
        return;
    }
    let root = sqrt(abs(x[index]));
    if root > 0.0 {
        destination[index] += 0.5 * cotangent[index] / root;
    }
}
