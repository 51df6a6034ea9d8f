// Prelude: invocation.
//
// Coefficients times one or two factors, and the pullbacks.
//
// Twin of `Normalise` in `crates/scattering/src/operators.rs`. The factors of all
// inputs are packed side by side first; gradients of a factor are gathered from the
// coefficients that it belongs to, so that every sum has one owner.
//
// Layouts, the map innermost:
//   x          [row][channel][part][map], more channels than the result may have
//   packed     [row][factor][map]
//   first, second  [channel]: which factors, 0xffffffff for none
//   offsets, members  of each factor of one input: (channel, other factor)

/// Sizes of one normalisation.
struct NormaliseSizes {
    /// Rows of every field.
    rows: u32,
    /// Channels of the result.
    channels: u32,
    /// Channels of x.
    channels_in: u32,
    /// 2 for complex coefficients, 1 for real ones.
    parts: u32,
    /// Maps of the batch, padding included.
    maps: u32,
    /// Factors of all inputs.
    factors: u32,
    /// First packed factor of the input of this run.
    start: u32,
    /// Factors of the input of this run.
    count: u32,
}

@group(0) @binding(0) var<uniform> sizes: NormaliseSizes;
@group(0) @binding(1) var<storage, read> source: array<real>;
@group(0) @binding(2) var<storage, read_write> packed: array<real>;
@group(0) @binding(3) var<storage, read> first: array<u32>;
@group(0) @binding(4) var<storage, read> second: array<u32>;
@group(0) @binding(5) var<storage, read> offsets: array<u32>;
@group(0) @binding(6) var<storage, read> members: array<u32>;
@group(0) @binding(7) var<storage, read> cotangent: array<real>;
@group(0) @binding(8) var<storage, read_write> destination: array<real>;

fn factor(row: u32, which: u32, map: u32) -> real {
    if which == 0xffffffffu {
        return 1.0;
    }
    return packed[(row * sizes.factors + which) * sizes.maps + map];
}

// packed = the factors of one input.
@compute @workgroup_size(64)
fn pack(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.rows * sizes.count * sizes.maps {
        return;
    }
    let map = index % sizes.maps;
    let channel = (index / sizes.maps) % sizes.count;
    let row = index / (sizes.maps * sizes.count);
    packed[(row * sizes.factors + sizes.start + channel) * sizes.maps + map] = source[index];
}

// y = x · (a b).
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    let map = index % sizes.maps;
    let part = (index / sizes.maps) % sizes.parts;
    let channel = (index / (sizes.maps * sizes.parts)) % sizes.channels;
    let row = index / (sizes.maps * sizes.parts * sizes.channels);
    if row >= sizes.rows {
        return;
    }
    let at = ((row * sizes.channels_in + channel) * sizes.parts + part) * sizes.maps + map;
    let scale = factor(row, first[channel], map) * factor(row, second[channel], map);
    destination[index] = source[at] * scale;
}

// x gradient += y gradient · (a b).
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    let map = index % sizes.maps;
    let part = (index / sizes.maps) % sizes.parts;
    let channel = (index / (sizes.maps * sizes.parts)) % sizes.channels;
    let row = index / (sizes.maps * sizes.parts * sizes.channels);
    if row >= sizes.rows {
        return;
    }
    let at = ((row * sizes.channels_in + channel) * sizes.parts + part) * sizes.maps + map;
    let scale = factor(row, first[channel], map) * factor(row, second[channel], map);
    destination[at] += cotangent[index] * scale;
}

// gradient of a factor += Σ y gradient · x · (other factor) over its coefficients.
@compute @workgroup_size(64)
fn along(invocation: Invocation) {
    let index = flat(invocation);
    let map = index % sizes.maps;
    let own = (index / sizes.maps) % sizes.count;
    let row = index / (sizes.maps * sizes.count);
    if row >= sizes.rows {
        return;
    }
    var sum = destination[index];
    for (var member = offsets[own]; member < offsets[own + 1u]; member++) {
        let channel = members[2u * member];
        var along: real = 0.0;
        for (var part = 0u; part < sizes.parts; part++) {
            let g = ((row * sizes.channels + channel) * sizes.parts + part) * sizes.maps + map;
            let x = ((row * sizes.channels_in + channel) * sizes.parts + part) * sizes.maps + map;
            along = fma(cotangent[g], source[x], along);
        }
        sum = fma(along, factor(row, members[2u * member + 1u], map), sum);
    }
    destination[index] = sum;
}
