// Prelude: invocation.
//
// C_ℓ = 1/(2ℓ+1) Σ_m |a_ℓm|^p of every field and pair of fields, and the pullback.
//
// Twin of `crates/harmonic/src/spectra_operator.rs`: same order of the sums; roots are
// taken in f64 there.
//
// Layouts, the map innermost:
//   a_ℓm       [mode][component][re, im][map], of T, of E and B, or of both in this
//              order as first and second
//   degrees    [mode][ℓ, m]
//   spectra    [ℓ][channel][map]: fields with themselves, then 01, 12, 02

/// Sizes of the spectra.
struct SpectraSizes {
    /// Largest degree.
    lmax: u32,
    /// Coefficients of one field.
    modes: u32,
    /// Fields of both inputs.
    components: u32,
    /// Fields of the first input.
    split: u32,
    /// Channels of the spectra.
    channels: u32,
    /// Maps of the batch, padding included.
    maps: u32,
    /// 1 for p = 1, 2 for p = 2, 3 for the signed root of p = 2.
    power: u32,
    /// 1 if the pullback is towards the second input.
    towards: u32,
}

@group(0) @binding(0) var<uniform> sizes: SpectraSizes;
@group(0) @binding(1) var<storage, read> first: array<real>;
@group(0) @binding(2) var<storage, read> second: array<real>;
@group(0) @binding(3) var<storage, read> degrees: array<u32>;
@group(0) @binding(4) var<storage, read> cotangent: array<real>;
@group(0) @binding(5) var<storage, read_write> slopes: array<real>;
@group(0) @binding(6) var<storage, read_write> destination: array<real>;

fn coefficient(component: u32, mode: u32, map: u32) -> vec2<real> {
    if component < sizes.split {
        let at = 2u * (mode * sizes.split + component) * sizes.maps + map;
        return vec2(first[at], first[at + sizes.maps]);
    }
    let width = sizes.components - sizes.split;
    let at = 2u * (mode * width + component - sizes.split) * sizes.maps + map;
    return vec2(second[at], second[at + sizes.maps]);
}

// The two fields of a channel.
fn pair(channel: u32) -> vec2<u32> {
    if channel < sizes.components {
        return vec2(channel, channel);
    }
    let k = channel - sizes.components;
    if k == 2u {
        return vec2(0u, 2u);
    }
    return vec2(k, k + 1u);
}

// (2 − δ_{m0})/(2ℓ+1).
fn weight(l: u32, m: u32) -> real {
    var count: real = 2.0;
    if m == 0u {
        count = 1.0;
    }
    return count / real(2u * l + 1u);
}

fn with_sign(size: real, sign: real) -> real {
    if sign < 0.0 {
        return -size;
    }
    return size;
}

// C_ℓ of one channel, p = 2 for the signed root.
fn spectrum(l: u32, channel: u32, map: u32) -> real {
    let fields = pair(channel);
    var sum: real = 0.0;
    for (var m = 0u; m <= l; m++) {
        let mode = (m * (2u * sizes.lmax + 1u - m)) / 2u + l;
        let a = coefficient(fields.x, mode, map);
        let b = coefficient(fields.y, mode, map);
        var value = a.x * b.x + a.y * b.y;
        if sizes.power == 1u {
            if fields.x == fields.y {
                value = sqrt(value);
            } else {
                value = with_sign(sqrt(length(a) * length(b)), value);
            }
        }
        sum += weight(l, m) * value;
    }
    return sum;
}

// spectra, one number an invocation.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    let map = index % sizes.maps;
    let channel = (index / sizes.maps) % sizes.channels;
    let l = index / (sizes.maps * sizes.channels);
    if l > sizes.lmax {
        return;
    }
    var value = spectrum(l, channel, map);
    if sizes.power == 3u {
        value = with_sign(sqrt(abs(value)), value);
    }
    destination[index] = value;
}

// slopes = ∂L/∂C before the signed root.
@compute @workgroup_size(64)
fn slope(invocation: Invocation) {
    let index = flat(invocation);
    let map = index % sizes.maps;
    let channel = (index / sizes.maps) % sizes.channels;
    let l = index / (sizes.maps * sizes.channels);
    if l > sizes.lmax {
        return;
    }
    var value = cotangent[index];
    if sizes.power == 3u {
        let root = sqrt(abs(spectrum(l, channel, map)));
        if root > 0.0 {
            value = 0.5 * value / root;
        } else {
            value = 0.0;
        }
    }
    slopes[index] = value;
}

// ∂/∂a of a summand times `slope`, half of it for a field with itself.
fn gradient(a: vec2<real>, b: vec2<real>, same: bool, slope: real) -> vec2<real> {
    if sizes.power != 1u {
        return slope * b;
    }
    let size = length(a);
    if size == 0.0 {
        return vec2<real>(0.0, 0.0);
    }
    if same {
        return (slope * 0.5 / size) * a;
    }
    let root = with_sign(sqrt(size * length(b)), a.x * b.x + a.y * b.y);
    return (slope * (0.5 * root / size) / size) * a;
}

// a_ℓm gradient += slopes of every channel that it is in: one complex number an
// invocation.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    var count = sizes.split;
    var start = 0u;
    if sizes.towards == 1u {
        count = sizes.components - sizes.split;
        start = sizes.split;
    }
    let map = index % sizes.maps;
    let own = (index / sizes.maps) % count;
    let mode = index / (sizes.maps * count);
    if mode >= sizes.modes {
        return;
    }
    let l = degrees[2u * mode];
    let scale = weight(l, degrees[2u * mode + 1u]);
    let a = coefficient(start + own, mode, map);
    var sum = vec2<real>(0.0, 0.0);
    for (var channel = 0u; channel < sizes.channels; channel++) {
        let fields = pair(channel);
        let g = scale * slopes[(l * sizes.channels + channel) * sizes.maps + map];
        let same = fields.x == fields.y;
        if fields.x == start + own {
            sum += gradient(a, coefficient(fields.y, mode, map), same, g);
        }
        if fields.y == start + own {
            sum += gradient(a, coefficient(fields.x, mode, map), same, g);
        }
    }
    let to = 2u * (mode * count + own) * sizes.maps + map;
    destination[to] += sum.x;
    destination[to + sizes.maps] += sum.y;
}
