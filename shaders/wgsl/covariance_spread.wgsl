// Prelude: invocation.
//
// Gradients of the fields of one group from the cotangent of their covariances.
//
// Twin of `crates/wavelet/src/operators/covariance/linear.rs`:
// dz = Σ_mask w (A z + b), where A holds the cotangents of the pairs and b what the
// means add. Factors that are always zero are left out, otherwise sums have the same
// order and the same fused multiply-adds.
//
// Layouts, the map innermost:
//   fields, destination  [pixel][slot][re, im][map]
//   weights    [pixel][mask]
//   links      [slot + 1] offsets, then the source slot of each link
//   parts      [link + 1] offsets, then (first, step, conjugated) of each part of a link
//   cotangent, means     [mask][channel][re, im][map]
//   packed     [mask][link, then slot][re, im][map]

/// Sizes of the gradients of one group.
struct CovarianceSpreadSizes {
    /// Pixels.
    pixels: u32,
    /// Slots of a group.
    slots: u32,
    /// Masks.
    masks: u32,
    /// Pairs of slots that are linked, both ways counted.
    links: u32,
    /// Maps of the batch, padding included.
    maps: u32,
    /// The group.
    group: u32,
    /// Channels of all pairs, before the means.
    pairs: u32,
    /// All channels of the result.
    channels: u32,
    /// 1 if means were taken off.
    centred: u32,
    /// Nothing.
    padding0: u32,
    /// Nothing.
    padding1: u32,
    /// Nothing.
    padding2: u32,
}

@group(0) @binding(0) var<uniform> sizes: CovarianceSpreadSizes;
@group(0) @binding(1) var<storage, read> weights: array<real>;
@group(0) @binding(2) var<storage, read> source: array<real>;
@group(0) @binding(3) var<storage, read> links: array<u32>;
@group(0) @binding(4) var<storage, read> parts: array<u32>;
@group(0) @binding(5) var<storage, read> cotangent: array<real>;
@group(0) @binding(6) var<storage, read> means: array<real>;
@group(0) @binding(7) var<storage, read_write> packed: array<real>;
@group(0) @binding(8) var<storage, read_write> destination: array<real>;

// Where a link or, after the links, a slot stands in packed.
fn place(mask: u32, which: u32, map: u32) -> u32 {
    return 2u * (mask * (sizes.links + sizes.slots) + which) * sizes.maps + map;
}

// The factor of every link: cotangents, some of them conjugated, added.
@compute @workgroup_size(64)
fn pack(invocation: Invocation) {
    let index = flat(invocation);
    let map = index % sizes.maps;
    let link = (index / sizes.maps) % sizes.links;
    let mask = index / (sizes.maps * sizes.links);
    if mask >= sizes.masks {
        return;
    }
    var re: real = 0.0;
    var im: real = 0.0;
    for (var part = parts[link]; part < parts[link + 1u]; part++) {
        let at = sizes.links + 1u + 3u * part;
        let channel = parts[at] + sizes.group * parts[at + 1u];
        let g = 2u * (mask * sizes.channels + channel) * sizes.maps + map;
        re += cotangent[g];
        if parts[at + 2u] == 1u {
            im -= cotangent[g + sizes.maps];
        } else {
            im += cotangent[g + sizes.maps];
        }
    }
    let to = place(mask, link, map);
    packed[to] = re;
    packed[to + sizes.maps] = im;
}

// The cotangent of every mean, less what centring takes off.
@compute @workgroup_size(64)
fn offset(invocation: Invocation) {
    let index = flat(invocation);
    let map = index % sizes.maps;
    let slot = (index / sizes.maps) % sizes.slots;
    let mask = index / (sizes.maps * sizes.slots);
    if mask >= sizes.masks {
        return;
    }
    var re: real = 0.0;
    var im: real = 0.0;
    if sizes.centred == 1u {
        let first = mask * sizes.channels + sizes.pairs + sizes.group * sizes.slots;
        let own = 2u * (first + slot) * sizes.maps + map;
        re = cotangent[own];
        im = cotangent[own + sizes.maps];
        for (var link = links[slot]; link < links[slot + 1u]; link++) {
            let at = 2u * (first + links[sizes.slots + 1u + link]) * sizes.maps + map;
            let f = place(mask, link, map);
            re = fma(-packed[f], means[at], re);
            re = fma(packed[f + sizes.maps], means[at + sizes.maps], re);
            im = fma(-packed[f], means[at + sizes.maps], im);
            im = fma(-packed[f + sizes.maps], means[at], im);
        }
    }
    let to = place(mask, sizes.links + slot, map);
    packed[to] = re;
    packed[to + sizes.maps] = im;
}

// The gradient of every field: one complex number an invocation.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    let map = index % sizes.maps;
    let slot = (index / sizes.maps) % sizes.slots;
    let pixel = index / (sizes.maps * sizes.slots);
    if pixel >= sizes.pixels {
        return;
    }
    var total = vec2<real>(0.0, 0.0);
    for (var mask = 0u; mask < sizes.masks; mask++) {
        let start = place(mask, sizes.links + slot, map);
        var re = packed[start];
        var im = packed[start + sizes.maps];
        for (var link = links[slot]; link < links[slot + 1u]; link++) {
            let at = 2u * (pixel * sizes.slots + links[sizes.slots + 1u + link]) * sizes.maps + map;
            let zr = source[at];
            let zi = source[at + sizes.maps];
            let f = place(mask, link, map);
            let fr = packed[f];
            let fi = packed[f + sizes.maps];
            re = fma(fr, zr, re);
            re = fma(-fi, zi, re);
            im = fma(fr, zi, im);
            im = fma(fi, zr, im);
        }
        total = fma(vec2(weights[pixel * sizes.masks + mask]), vec2(re, im), total);
    }
    let to = 2u * (pixel * sizes.slots + slot) * sizes.maps + map;
    destination[to] = total.x;
    destination[to + sizes.maps] = total.y;
}
