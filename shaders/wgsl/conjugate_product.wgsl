// Prelude: invocation.
//
// A·B* of two complex fields, and the pullbacks.
//
// Twin of `ConjugateProduct` in `crates/wavelet/src/operators/pointwise.rs`: same
// order of the fused multiply-adds.
//
// Layouts, the map innermost: every field [number][re, im][map].

/// Sizes of one product.
struct ConjugateProductSizes {
    /// Complex numbers a map.
    numbers: u32,
    /// Maps of the batch, padding included.
    maps: u32,
    /// 1 if the first factor is conjugated.
    conjugate: u32,
    /// Nothing.
    padding: u32,
}

@group(0) @binding(0) var<uniform> sizes: ConjugateProductSizes;
@group(0) @binding(1) var<storage, read> a: array<real>;
@group(0) @binding(2) var<storage, read> b: array<real>;
@group(0) @binding(3) var<storage, read_write> destination: array<real>;

fn product(at: u32) -> vec2<real> {
    let ar = a[at];
    var ai = a[at + sizes.maps];
    if sizes.conjugate == 1u {
        ai = -ai;
    }
    let br = b[at];
    let bi = b[at + sizes.maps];
    return vec2(fma(-ai, bi, ar * br), fma(ai, br, ar * bi));
}

// destination = a·b, or conj(a)·b.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.numbers * sizes.maps {
        return;
    }
    let at = 2u * (index / sizes.maps) * sizes.maps + index % sizes.maps;
    let z = product(at);
    destination[at] = z.x;
    destination[at + sizes.maps] = z.y;
}

// destination += a·b, or conj(a)·b, where a is the cotangent and b the other field.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.numbers * sizes.maps {
        return;
    }
    let at = 2u * (index / sizes.maps) * sizes.maps + index % sizes.maps;
    let z = product(at);
    destination[at] += z.x;
    destination[at + sizes.maps] += z.y;
}
