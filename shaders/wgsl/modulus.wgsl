// Prelude: invocation.
//
// |z| of every complex number, or √(|z|² + ε²), and the pullback.
//
// Twin of `Modulus` in `crates/wavelet/src/operators/pointwise.rs`: same order
// of the fused multiply-adds; at z = 0 and ε = 0 the sub-gradient 0 is taken.
//
// Layouts, the map innermost:
//   z          [row][channel][re, im][map]
//   modulus    [row][channel][map]
//   softening  ε², or 0 for the modulus itself

/// Sizes of one field of moduli.
struct ModulusSizes {
    /// Complex numbers a map: rows times channels.
    numbers: u32,
    /// Maps of the batch, padding included.
    maps: u32,
}

@group(0) @binding(0) var<uniform> sizes: ModulusSizes;
@group(0) @binding(1) var<storage, read> softening: array<real>;
@group(0) @binding(2) var<storage, read> z: array<real>;
// The modulus in the pullback's sense: the gradient towards it.
@group(0) @binding(3) var<storage, read> cotangent: array<real>;
@group(0) @binding(4) var<storage, read_write> destination: array<real>;

fn softened(re: real, im: real) -> real {
    return sqrt(fma(im, im, fma(re, re, softening[0])));
}

// modulus = √(|z|² + ε²).
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.numbers * sizes.maps {
        return;
    }
    let at = 2u * (index / sizes.maps) * sizes.maps + index % sizes.maps;
    destination[index] = softened(z[at], z[at + sizes.maps]);
}

// z gradient += cotangent · z / modulus.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.numbers * sizes.maps {
        return;
    }
    let at = 2u * (index / sizes.maps) * sizes.maps + index % sizes.maps;
    let re = z[at];
    let im = z[at + sizes.maps];
    let modulus = softened(re, im);
    var ratio: real = 0.0;
    if modulus > 0.0 {
        ratio = cotangent[index] / modulus;
    }
    destination[at] = fma(ratio, re, destination[at]);
    destination[at + sizes.maps] = fma(ratio, im, destination[at + sizes.maps]);
}
