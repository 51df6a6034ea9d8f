// Prelude: invocation.
//
// Orientations turned pixel by pixel, and the pullback.
//
// Twin of `crates/wavelet/src/operators/rotate.rs`: same order of the fused
// multiply-adds.
//
// Layouts, the map innermost:
//   fields     [pixel][group][orientation][number], re and im of all maps
//   shifts     [pixel][group]
//   weights    [pixel][group][cos², sin²]

/// Sizes of one rotation.
struct RotateSizes {
    /// Pixels of the field.
    pixels: u32,
    /// Groups that turn on their own.
    groups: u32,
    /// Orientations of a group.
    orientations: u32,
    /// Numbers of one channel, re and im of all maps.
    width: u32,
}

@group(0) @binding(0) var<uniform> sizes: RotateSizes;
@group(0) @binding(1) var<storage, read> shifts: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<real>;
@group(0) @binding(3) var<storage, read> source: array<real>;
@group(0) @binding(4) var<storage, read_write> destination: array<real>;

// Where number `index` stands: pixel and group, orientation, number in the channel.
fn place(index: u32) -> vec3<u32> {
    let channel = index / sizes.width;
    let turn = channel / sizes.orientations;
    return vec3(turn, channel % sizes.orientations, index % sizes.width);
}

fn value(turn: u32, orientation: u32, number: u32) -> real {
    return source[(turn * sizes.orientations + orientation) * sizes.width + number];
}

// out_l = cos²·in_{l+i} + sin²·in_{l+i+1}.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    let at = place(index);
    if at.x >= sizes.pixels * sizes.groups {
        return;
    }
    let r = sizes.orientations;
    let shift = shifts[at.x];
    let a = value(at.x, (at.y + shift) % r, at.z);
    let b = value(at.x, (at.y + shift + 1u) % r, at.z);
    destination[index] = fma(weights[2u * at.x], a, weights[2u * at.x + 1u] * b);
}

// in gradient_l += cos²·out gradient_{l−i} + sin²·out gradient_{l−i−1}.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    let at = place(index);
    if at.x >= sizes.pixels * sizes.groups {
        return;
    }
    let r = sizes.orientations;
    let shift = shifts[at.x];
    let a = value(at.x, (at.y + 2u * r - shift) % r, at.z);
    let b = value(at.x, (at.y + 2u * r - shift - 1u) % r, at.z);
    let base = fma(weights[2u * at.x + 1u], b, destination[index]);
    destination[index] = fma(weights[2u * at.x], a, base);
}
