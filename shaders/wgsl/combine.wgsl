// Prelude: invocation.
//
// A linear combination of up to six vectors, added to what is there or in its place.
//
// Twin of `set_sum` in `crates/autodiff/src/optimise/vector.rs`, for more vectors: one
// fused multiply-add each, in order.

/// Sizes of one run.
struct CombineSizes {
    /// Length of the vectors.
    numbers: u32,
    /// Vectors of this run.
    vectors: u32,
    /// Coefficient of the first.
    first: u32,
    /// 1 to add to what is there.
    adds: u32,
}

@group(0) @binding(0) var<uniform> sizes: CombineSizes;
@group(0) @binding(1) var<storage, read> coefficients: array<real>;
@group(0) @binding(2) var<storage, read> a0: array<real>;
@group(0) @binding(3) var<storage, read> a1: array<real>;
@group(0) @binding(4) var<storage, read> a2: array<real>;
@group(0) @binding(5) var<storage, read> a3: array<real>;
@group(0) @binding(6) var<storage, read> a4: array<real>;
@group(0) @binding(7) var<storage, read> a5: array<real>;
@group(0) @binding(8) var<storage, read_write> destination: array<real>;

fn vector(which: u32, at: u32) -> real {
    switch which {
        case 0u: { return a0[at]; }
        case 1u: { return a1[at]; }
        case 2u: { return a2[at]; }
        case 3u: { return a3[at]; }
        case 4u: { return a4[at]; }
        default: { return a5[at]; }
    }
}

// destination = [destination +] Σ coefficient·vector.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let at = flat(invocation);
    if at >= sizes.numbers {
        return;
    }
    var sum: real = 0.0;
    if sizes.adds == 1u {
        sum = destination[at];
    }
    for (var i = 0u; i < sizes.vectors; i++) {
        sum = fma(coefficients[sizes.first + i], vector(i, at), sum);
    }
    destination[at] = sum;
}
