// Prelude: invocation.
//
// One field among several that stand side by side, its rows in a new order.
//
// Twin of `crates/autodiff/src/stack.rs`; a run handles one of the fields. The
// pullback reads the inverse order.
//
// Layouts, the map innermost: a field [row][map], the stack [row][channel][map].

/// Sizes of one stack.
struct StackSizes {
    /// Rows of every field.
    rows: u32,
    /// Fields.
    channels: u32,
    /// Which field this is.
    channel: u32,
    /// Maps of the batch, padding included.
    maps: u32,
}

@group(0) @binding(0) var<uniform> sizes: StackSizes;
@group(0) @binding(1) var<storage, read> order: array<u32>;
@group(0) @binding(2) var<storage, read> source: array<real>;
@group(0) @binding(3) var<storage, read_write> destination: array<real>;

// stack[row][channel] = field[order[row]].
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.rows * sizes.maps {
        return;
    }
    let row = index / sizes.maps;
    let map = index % sizes.maps;
    let at = (row * sizes.channels + sizes.channel) * sizes.maps + map;
    destination[at] = source[order[row] * sizes.maps + map];
}

// field gradient[row] += stack gradient[order[row]][channel].
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.rows * sizes.maps {
        return;
    }
    let row = order[index / sizes.maps];
    let map = index % sizes.maps;
    destination[index] += source[(row * sizes.channels + sizes.channel) * sizes.maps + map];
}
