// Prelude: invocation.
//
// The real part of a complex field, and the pullback.
//
// Twin of `RealPart` in `crates/wavelet/src/operators/pointwise.rs`.
//
// Layouts, the map innermost: complex [number][re, im][map], real [number][map].

/// Sizes of one field.
struct RealPartSizes {
    /// Complex numbers a map.
    numbers: u32,
    /// Maps of the batch, padding included.
    maps: u32,
}

@group(0) @binding(0) var<uniform> sizes: RealPartSizes;
@group(0) @binding(1) var<storage, read> source: array<real>;
@group(0) @binding(2) var<storage, read_write> destination: array<real>;

// real = Re z.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.numbers * sizes.maps {
        return;
    }
    destination[index] = source[2u * (index / sizes.maps) * sizes.maps + index % sizes.maps];
}

// Re z gradient += real gradient.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.numbers * sizes.maps {
        return;
    }
    destination[2u * (index / sizes.maps) * sizes.maps + index % sizes.maps] += source[index];
}
