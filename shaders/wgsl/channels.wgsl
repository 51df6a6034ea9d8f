// Prelude: invocation.
//
// Some neighbouring channels of a field, and the pullback.
//
// Twin of `crates/autodiff/src/channels.rs`.
//
// Layouts: the field [row][width], the channels [row][count]; widths count the real
// and imaginary parts of all maps.

/// Sizes of one choice of channels.
struct ChannelsSizes {
    /// Rows of the field.
    rows: u32,
    /// Numbers of a row of the field.
    width: u32,
    /// First number that is chosen.
    first: u32,
    /// Numbers that are chosen.
    count: u32,
}

@group(0) @binding(0) var<uniform> sizes: ChannelsSizes;
@group(0) @binding(1) var<storage, read> source: array<real>;
@group(0) @binding(2) var<storage, read_write> destination: array<real>;

// channels = field.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.rows * sizes.count {
        return;
    }
    let at = index / sizes.count * sizes.width + sizes.first + index % sizes.count;
    destination[index] = source[at];
}

// field gradient += channels gradient.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.rows * sizes.count {
        return;
    }
    let at = index / sizes.count * sizes.width + sizes.first + index % sizes.count;
    destination[at] += source[index];
}
