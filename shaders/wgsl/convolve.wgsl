// Prelude: invocation.
//
// All oriented wavelets of one scale applied to real fields, and the pullback.
//
// Twin of `crates/wavelet/src/operators/convolve.rs`: same arguments, and the
// entries of a row are summed in the same order with fused multiply-adds.
//
// Layouts, the map innermost:
//   image      [pixel][channel][map]
//   bands      [pixel][orientation][channel][re, im][map]
//   weights    [entry][orientation][re, im]
// Rows of the table are in compressed form: the entries of row p are
// offsets[p] .. offsets[p + 1], their columns are columns[entry].
//
// The pullback reads the transposed table: columns then holds rows of the
// forward table, and entries says which weights each of them takes.

/// Sizes of one convolution.
struct ConvolveSizes {
    /// Pixels of the image and of the bands.
    pixels: u32,
    /// Real channels of the image.
    channels: u32,
    /// Oriented wavelets in the table.
    orientations: u32,
    /// Maps of the batch, padding included.
    maps: u32,
}

@group(0) @binding(0) var<uniform> sizes: ConvolveSizes;
@group(0) @binding(1) var<storage, read> offsets: array<u32>;
@group(0) @binding(2) var<storage, read> columns: array<u32>;
@group(0) @binding(3) var<storage, read> entries: array<u32>;
@group(0) @binding(4) var<storage, read> weights: array<real>;
@group(0) @binding(5) var<storage, read> source: array<real>;
@group(0) @binding(6) var<storage, read_write> destination: array<real>;

// bands = table · image: one complex number an invocation.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    let map = index % sizes.maps;
    let channel = (index / sizes.maps) % sizes.channels;
    let orientation = (index / (sizes.maps * sizes.channels)) % sizes.orientations;
    let pixel = index / (sizes.maps * sizes.channels * sizes.orientations);
    if pixel >= sizes.pixels {
        return;
    }
    var re: real = 0.0;
    var im: real = 0.0;
    for (var entry = offsets[pixel]; entry < offsets[pixel + 1u]; entry++) {
        let x = source[(columns[entry] * sizes.channels + channel) * sizes.maps + map];
        let weight = 2u * (entry * sizes.orientations + orientation);
        re = fma(weights[weight], x, re);
        im = fma(weights[weight + 1u], x, im);
    }
    let band = (pixel * sizes.orientations + orientation) * sizes.channels + channel;
    destination[2u * band * sizes.maps + map] = re;
    destination[(2u * band + 1u) * sizes.maps + map] = im;
}

// image gradient += tableᵀ · bands gradient: one real number an invocation, so
// that every sum has one owner and needs no atomics.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    let map = index % sizes.maps;
    let channel = (index / sizes.maps) % sizes.channels;
    let pixel = index / (sizes.maps * sizes.channels);
    if pixel >= sizes.pixels {
        return;
    }
    var re = destination[index];
    var im: real = 0.0;
    for (var i = offsets[pixel]; i < offsets[pixel + 1u]; i++) {
        for (var orientation = 0u; orientation < sizes.orientations; orientation++) {
            let band = (columns[i] * sizes.orientations + orientation) * sizes.channels + channel;
            let weight = 2u * (entries[i] * sizes.orientations + orientation);
            re = fma(weights[weight], source[2u * band * sizes.maps + map], re);
            im = fma(weights[weight + 1u], source[(2u * band + 1u) * sizes.maps + map], im);
        }
    }
    destination[index] = re + im;
}
