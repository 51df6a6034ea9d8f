// Prelude: invocation, quad.
//
// Fields of some groups: up to three moduli convolved and turned, and the pullback.
//
// Twin of `crates/wavelet/src/operators/covariance/fill.rs`: the entries of a row are
// summed in the same order with fused multiply-adds. The pullback gathers over the
// transposed table, where the CPU scatters, and adds one group after the other.
//
// Layouts, the map innermost:
//   modulus    [pixel][orientation][map]
//   fields     [group of the run][pixel][slot][re, im][map]
//   weights    [entry][orientation][re, im]
//   shifts, turns  [pixel][orientation], with cos² and sin² for each turn
//   table      as in `convolve.wgsl`

/// Sizes of the fields of some groups.
struct CovarianceSecondSizes {
    /// Pixels.
    pixels: u32,
    /// Oriented wavelets in the table, and groups.
    orientations: u32,
    /// First group of the run: which wavelet convolves the moduli.
    first: u32,
    /// Groups of the run.
    groups: u32,
    /// Slots of a group.
    slots: u32,
    /// First slot of the first modulus of this run.
    slot: u32,
    /// Moduli of the run.
    moduli: u32,
    /// Fours of maps of the batch, padding included.
    quads: u32,
}

@group(0) @binding(0) var<uniform> sizes: CovarianceSecondSizes;
@group(0) @binding(1) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<vec2<real>>;
@group(0) @binding(3) var<storage, read> shifts: array<u32>;
@group(0) @binding(4) var<storage, read> turns: array<vec2<real>>;
@group(0) @binding(5) var<storage, read_write> modulus0: array<quad>;
@group(0) @binding(6) var<storage, read_write> modulus1: array<quad>;
@group(0) @binding(7) var<storage, read_write> modulus2: array<quad>;
@group(0) @binding(8) var<storage, read_write> fields: array<quad>;

/// Which number an invocation computes.
struct Own {
    pixel: u32,
    group: u32,
    modulus: u32,
    channel: u32,
    maps: u32,
}

// The number of a run with so many groups a pixel.
fn own(index: u32, groups: u32) -> Own {
    let channel = index / sizes.quads;
    let modulus = channel / sizes.orientations;
    let group = modulus / sizes.moduli;
    return Own(
        group / groups,
        group % groups,
        modulus % sizes.moduli,
        channel % sizes.orientations,
        index % sizes.quads,
    );
}

// Where a channel of a modulus stands.
fn there(pixel: u32, channel: u32, maps: u32) -> u32 {
    return (pixel * sizes.orientations + channel) * sizes.quads + maps;
}

// Where it stands among the fields.
fn here(group: u32, pixel: u32, modulus: u32, channel: u32, maps: u32) -> u32 {
    let row = (group * sizes.pixels + pixel) * sizes.slots + sizes.slot;
    return 2u * (row + modulus * sizes.orientations + channel) * sizes.quads + maps;
}

// cos²·a + sin²·b, as a channel is turned at a pixel.
fn between(at: u32, a: Complex, b: Complex) -> Complex {
    let turn = turns[at];
    let re = fma(quad(turn.x), a.re, turn.y * b.re);
    let im = fma(quad(turn.x), a.im, turn.y * b.im);
    return Complex(re, im);
}

// sum + weight x, for the weight of an entry.
fn weighted(sum: Complex, entry: u32, group: u32, x: quad) -> Complex {
    let weight = weights[entry * sizes.orientations + group];
    return Complex(fma(quad(weight.x), x, sum.re), fma(quad(weight.y), x, sum.im));
}

// Modulus ⋆ wavelet of the group at a pixel, one channel: a loop for each modulus, so that
// none asks at every entry which it is.
fn convolved(at: Own, channel: u32) -> Complex {
    let columns = sizes.pixels + 1u;
    let group = sizes.first + at.group;
    let end = table[at.pixel + 1u];
    var sum = Complex();
    if at.modulus == 0u {
        for (var entry = table[at.pixel]; entry < end; entry++) {
            let x = modulus0[there(table[columns + entry], channel, at.maps)];
            sum = weighted(sum, entry, group, x);
        }
    } else if at.modulus == 1u {
        for (var entry = table[at.pixel]; entry < end; entry++) {
            let x = modulus1[there(table[columns + entry], channel, at.maps)];
            sum = weighted(sum, entry, group, x);
        }
    } else {
        for (var entry = table[at.pixel]; entry < end; entry++) {
            let x = modulus2[there(table[columns + entry], channel, at.maps)];
            sum = weighted(sum, entry, group, x);
        }
    }
    return sum;
}

fn keep(at: Own, z: Complex) {
    let to = here(at.group, at.pixel, at.modulus, at.channel, at.maps);
    fields[to] = z.re;
    fields[to + sizes.quads] = z.im;
}

// fields = modulus ⋆ wavelet: one complex number of four maps an invocation.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let at = own(flat(invocation), sizes.groups);
    if at.pixel >= sizes.pixels {
        return;
    }
    keep(at, convolved(at, at.channel));
}

// The same, turned.
@compute @workgroup_size(64)
fn forward_turned(invocation: Invocation) {
    let at = own(flat(invocation), sizes.groups);
    if at.pixel >= sizes.pixels {
        return;
    }
    let r = sizes.orientations;
    let turn = at.pixel * r + sizes.first + at.group;
    let a = convolved(at, (at.channel + shifts[turn]) % r);
    let b = convolved(at, (at.channel + shifts[turn] + 1u) % r);
    keep(at, between(turn, a, b));
}

fn field(at: Own, group: u32, pixel: u32, channel: u32) -> Complex {
    let start = here(group, pixel, at.modulus, channel, at.maps);
    return Complex(fields[start], fields[start + sizes.quads]);
}

// The real part of weight* z, its two sums kept apart.
fn plus(sum: Complex, entry: u32, group: u32, z: Complex) -> Complex {
    let weight = weights[entry * sizes.orientations + sizes.first + group];
    return Complex(fma(quad(weight.x), z.re, sum.re), fma(quad(weight.y), z.im, sum.im));
}

// What the gradient of a modulus is so far.
fn gradient(at: Own) -> quad {
    let start = there(at.pixel, at.channel, at.maps);
    if at.modulus == 0u {
        return modulus0[start];
    }
    if at.modulus == 1u {
        return modulus1[start];
    }
    return modulus2[start];
}

fn give(at: Own, value: quad) {
    let to = there(at.pixel, at.channel, at.maps);
    if at.modulus == 0u {
        modulus0[to] = value;
    } else if at.modulus == 1u {
        modulus1[to] = value;
    } else {
        modulus2[to] = value;
    }
}

// modulus gradient += tableᵀ · fields gradient: one number of four maps an invocation.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let at = own(flat(invocation), 1u);
    if at.pixel >= sizes.pixels {
        return;
    }
    let entries = sizes.pixels + 1u;
    var value = gradient(at);
    for (var group = 0u; group < sizes.groups; group++) {
        var sum = Complex(value, quad());
        for (var i = table[at.pixel]; i < table[at.pixel + 1u]; i++) {
            let pixel = table[entries + 2u * i];
            let z = field(at, group, pixel, at.channel);
            sum = plus(sum, table[entries + 2u * i + 1u], group, z);
        }
        value = sum.re + sum.im;
    }
    give(at, value);
}

// The same, turned back.
@compute @workgroup_size(64)
fn pullback_turned(invocation: Invocation) {
    let at = own(flat(invocation), 1u);
    if at.pixel >= sizes.pixels {
        return;
    }
    let entries = sizes.pixels + 1u;
    let r = sizes.orientations;
    var value = gradient(at);
    for (var group = 0u; group < sizes.groups; group++) {
        var sum = Complex(value, quad());
        for (var i = table[at.pixel]; i < table[at.pixel + 1u]; i++) {
            let pixel = table[entries + 2u * i];
            let turn = pixel * r + sizes.first + group;
            let back = at.channel + 2u * r - shifts[turn];
            let a = field(at, group, pixel, back % r);
            let b = field(at, group, pixel, (back - 1u) % r);
            sum = plus(sum, table[entries + 2u * i + 1u], group, between(turn, a, b));
        }
        value = sum.re + sum.im;
    }
    give(at, value);
}
