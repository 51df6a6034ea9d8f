// Prelude: invocation.
//
// The fields of one group: bands copied, moduli convolved and turned, and the pullbacks.
//
// Twin of `crates/wavelet/src/operators/covariance/fill.rs`: the entries of a row are
// summed in the same order with fused multiply-adds. The pullback gathers over the
// transposed table, where the CPU scatters.
//
// Layouts, the map innermost:
//   band       [pixel][orientation][re, im][map]
//   modulus    [pixel][orientation][map]
//   fields     [pixel][slot][re, im][map], those of one group
//   weights    [entry][orientation][re, im]
//   shifts, turns  [pixel][orientation], with cos² and sin² for each turn
// The entries of row p are offsets[p] .. offsets[p + 1]. In the pullback columns holds
// rows of the forward table, and entries says which weights each of them takes.

/// Sizes of the fields of one group.
struct CovarianceSecondSizes {
    /// Pixels.
    pixels: u32,
    /// Oriented wavelets in the table, and groups.
    orientations: u32,
    /// The group: which wavelet convolves the moduli.
    group: u32,
    /// Slots of a group.
    slots: u32,
    /// First slot of the band or modulus of this run.
    slot: u32,
    /// Maps of the batch, padding included.
    maps: u32,
    /// 1 if the channels are turned.
    turned: u32,
    /// Nothing.
    padding: u32,
}

@group(0) @binding(0) var<uniform> sizes: CovarianceSecondSizes;
@group(0) @binding(1) var<storage, read> offsets: array<u32>;
@group(0) @binding(2) var<storage, read> columns: array<u32>;
@group(0) @binding(3) var<storage, read> entries: array<u32>;
@group(0) @binding(4) var<storage, read> weights: array<real>;
@group(0) @binding(5) var<storage, read> shifts: array<u32>;
@group(0) @binding(6) var<storage, read> turns: array<real>;
@group(0) @binding(7) var<storage, read> source: array<real>;
@group(0) @binding(8) var<storage, read_write> destination: array<real>;

// fields = band of this group.
@compute @workgroup_size(64)
fn bands(invocation: Invocation) {
    let index = flat(invocation);
    let width = 2u * sizes.maps;
    let pixel = index / width;
    if pixel >= sizes.pixels {
        return;
    }
    let number = index % width;
    let start = (pixel * sizes.orientations + sizes.group) * width + number;
    destination[(pixel * sizes.slots + sizes.slot) * width + number] = source[start];
}

// band gradient += fields gradient.
@compute @workgroup_size(64)
fn bands_pullback(invocation: Invocation) {
    let index = flat(invocation);
    let width = 2u * sizes.maps;
    let pixel = index / width;
    if pixel >= sizes.pixels {
        return;
    }
    let number = index % width;
    let to = (pixel * sizes.orientations + sizes.group) * width + number;
    destination[to] += source[(pixel * sizes.slots + sizes.slot) * width + number];
}

// Modulus ⋆ wavelet of the group at a pixel, one channel.
fn convolved(pixel: u32, channel: u32, map: u32) -> vec2<real> {
    var re: real = 0.0;
    var im: real = 0.0;
    for (var entry = offsets[pixel]; entry < offsets[pixel + 1u]; entry++) {
        let x = source[(columns[entry] * sizes.orientations + channel) * sizes.maps + map];
        let weight = 2u * (entry * sizes.orientations + sizes.group);
        re = fma(weights[weight], x, re);
        im = fma(weights[weight + 1u], x, im);
    }
    return vec2(re, im);
}

// fields = modulus ⋆ wavelet, turned: one complex number an invocation.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    let r = sizes.orientations;
    let map = index % sizes.maps;
    let channel = (index / sizes.maps) % r;
    let pixel = index / (sizes.maps * r);
    if pixel >= sizes.pixels {
        return;
    }
    var z = vec2<real>(0.0, 0.0);
    if sizes.turned == 1u {
        let at = pixel * r + sizes.group;
        let a = convolved(pixel, (channel + shifts[at]) % r, map);
        let b = convolved(pixel, (channel + shifts[at] + 1u) % r, map);
        z = fma(vec2(turns[2u * at]), a, turns[2u * at + 1u] * b);
    } else {
        z = convolved(pixel, channel, map);
    }
    let to = 2u * (pixel * sizes.slots + sizes.slot + channel) * sizes.maps + map;
    destination[to] = z.x;
    destination[to + sizes.maps] = z.y;
}

fn field(pixel: u32, channel: u32, map: u32) -> vec2<real> {
    let at = 2u * (pixel * sizes.slots + sizes.slot + channel) * sizes.maps + map;
    return vec2(source[at], source[at + sizes.maps]);
}

// modulus gradient += tableᵀ · fields gradient turned back: one number an invocation.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    let r = sizes.orientations;
    let map = index % sizes.maps;
    let channel = (index / sizes.maps) % r;
    let pixel = index / (sizes.maps * r);
    if pixel >= sizes.pixels {
        return;
    }
    var re = destination[index];
    var im: real = 0.0;
    for (var i = offsets[pixel]; i < offsets[pixel + 1u]; i++) {
        let row = columns[i];
        var z = vec2<real>(0.0, 0.0);
        if sizes.turned == 1u {
            let at = row * r + sizes.group;
            let a = field(row, (channel + 2u * r - shifts[at]) % r, map);
            let b = field(row, (channel + 2u * r - shifts[at] - 1u) % r, map);
            z = fma(vec2(turns[2u * at]), a, turns[2u * at + 1u] * b);
        } else {
            z = field(row, channel, map);
        }
        let weight = 2u * (entries[i] * r + sizes.group);
        re = fma(weights[weight], z.x, re);
        im = fma(weights[weight + 1u], z.y, im);
    }
    destination[index] = re + im;
}
