// Prelude: invocation.
//
// A scale and a shift for each row and channel, and the pullback.
//
// Twin of `crates/autodiff/src/affine.rs`: one fused multiply-add a number.
//
// Layouts, the map innermost: fields [number][map], tables [number].

/// Sizes of one field.
struct AffineSizes {
    /// Real numbers a map.
    numbers: u32,
    /// Maps of the batch, padding included.
    maps: u32,
}

@group(0) @binding(0) var<uniform> sizes: AffineSizes;
@group(0) @binding(1) var<storage, read> scale: array<real>;
@group(0) @binding(2) var<storage, read> shift: array<real>;
@group(0) @binding(3) var<storage, read> source: array<real>;
@group(0) @binding(4) var<storage, read_write> destination: array<real>;

// y = scale·x + shift.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.numbers * sizes.maps {
        return;
    }
    let number = index / sizes.maps;
    destination[index] = fma(scale[number], source[index], shift[number]);
}

// x gradient += scale · y gradient.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.numbers * sizes.maps {
        return;
    }
    destination[index] = fma(scale[index / sizes.maps], source[index], destination[index]);
}
