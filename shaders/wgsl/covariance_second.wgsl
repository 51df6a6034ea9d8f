// Prelude: invocation, quad.
//
// Fields of some groups: a modulus convolved and turned, and the pullback.
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
// The entries of row p are offsets[p] .. offsets[p + 1]. In the pullback columns holds
// rows of the forward table, and entries says which weights each of them takes.

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
    /// First slot of the modulus of this run.
    slot: u32,
    /// Fours of maps of the batch, padding included.
    quads: u32,
    /// Nothing.
    padding: u32,
}

@group(0) @binding(0) var<uniform> sizes: CovarianceSecondSizes;
@group(0) @binding(1) var<storage, read> offsets: array<u32>;
@group(0) @binding(2) var<storage, read> columns: array<u32>;
@group(0) @binding(3) var<storage, read> entries: array<u32>;
@group(0) @binding(4) var<storage, read> weights: array<vec2<real>>;
@group(0) @binding(5) var<storage, read> shifts: array<u32>;
@group(0) @binding(6) var<storage, read> turns: array<vec2<real>>;
@group(0) @binding(7) var<storage, read> source: array<quad>;
@group(0) @binding(8) var<storage, read_write> destination: array<quad>;

/// Which number an invocation computes.
struct Own {
    pixel: u32,
    group: u32,
    channel: u32,
    maps: u32,
}

// The number of a modulus with so many groups a pixel.
fn own(index: u32, groups: u32) -> Own {
    let channel = index / sizes.quads;
    let group = channel / sizes.orientations;
    let maps = index % sizes.quads;
    return Own(group / groups, group % groups, channel % sizes.orientations, maps);
}

// Where a channel of the run stands among the fields.
fn place(group: u32, pixel: u32, channel: u32, maps: u32) -> u32 {
    let row = group * sizes.pixels + pixel;
    return 2u * (row * sizes.slots + sizes.slot + channel) * sizes.quads + maps;
}

// cos²·a + sin²·b, as a channel is turned at a pixel.
fn between(at: u32, a: Complex, b: Complex) -> Complex {
    let turn = turns[at];
    let re = fma(quad(turn.x), a.re, turn.y * b.re);
    let im = fma(quad(turn.x), a.im, turn.y * b.im);
    return Complex(re, im);
}

// Modulus ⋆ wavelet of a group at a pixel, one channel.
fn convolved(pixel: u32, group: u32, channel: u32, maps: u32) -> Complex {
    var re = quad();
    var im = quad();
    for (var entry = offsets[pixel]; entry < offsets[pixel + 1u]; entry++) {
        let x = source[(columns[entry] * sizes.orientations + channel) * sizes.quads + maps];
        let weight = weights[entry * sizes.orientations + group];
        re = fma(quad(weight.x), x, re);
        im = fma(quad(weight.y), x, im);
    }
    return Complex(re, im);
}

fn keep(to: Own, z: Complex) {
    let at = place(to.group, to.pixel, to.channel, to.maps);
    destination[at] = z.re;
    destination[at + sizes.quads] = z.im;
}

// fields = modulus ⋆ wavelet: one complex number of four maps an invocation.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let at = own(flat(invocation), sizes.groups);
    if at.pixel >= sizes.pixels {
        return;
    }
    keep(at, convolved(at.pixel, sizes.first + at.group, at.channel, at.maps));
}

// The same, turned.
@compute @workgroup_size(64)
fn forward_turned(invocation: Invocation) {
    let at = own(flat(invocation), sizes.groups);
    if at.pixel >= sizes.pixels {
        return;
    }
    let r = sizes.orientations;
    let group = sizes.first + at.group;
    let turn = at.pixel * r + group;
    let a = convolved(at.pixel, group, (at.channel + shifts[turn]) % r, at.maps);
    let b = convolved(at.pixel, group, (at.channel + shifts[turn] + 1u) % r, at.maps);
    keep(at, between(turn, a, b));
}

fn field(group: u32, pixel: u32, channel: u32, maps: u32) -> Complex {
    let at = place(group, pixel, channel, maps);
    return Complex(source[at], source[at + sizes.quads]);
}

// The real part of weight* z, its two sums kept apart.
fn plus(sum: Complex, i: u32, group: u32, z: Complex) -> Complex {
    let weight = weights[entries[i] * sizes.orientations + sizes.first + group];
    return Complex(fma(quad(weight.x), z.re, sum.re), fma(quad(weight.y), z.im, sum.im));
}

// modulus gradient += tableᵀ · fields gradient: one number of four maps an invocation.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    let at = own(index, 1u);
    if at.pixel >= sizes.pixels {
        return;
    }
    var value = destination[index];
    for (var group = 0u; group < sizes.groups; group++) {
        var sum = Complex(value, quad());
        for (var i = offsets[at.pixel]; i < offsets[at.pixel + 1u]; i++) {
            sum = plus(sum, i, group, field(group, columns[i], at.channel, at.maps));
        }
        value = sum.re + sum.im;
    }
    destination[index] = value;
}

// The same, turned back.
@compute @workgroup_size(64)
fn pullback_turned(invocation: Invocation) {
    let index = flat(invocation);
    let at = own(index, 1u);
    if at.pixel >= sizes.pixels {
        return;
    }
    let r = sizes.orientations;
    var value = destination[index];
    for (var group = 0u; group < sizes.groups; group++) {
        var sum = Complex(value, quad());
        for (var i = offsets[at.pixel]; i < offsets[at.pixel + 1u]; i++) {
            let turn = columns[i] * r + sizes.first + group;
            let back = at.channel + 2u * r - shifts[turn];
            let a = field(group, columns[i], back % r, at.maps);
            let b = field(group, columns[i], (back - 1u) % r, at.maps);
            sum = plus(sum, i, group, between(turn, a, b));
        }
        value = sum.re + sum.im;
    }
    destination[index] = value;
}
