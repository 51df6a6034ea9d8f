// Prelude: invocation.
//
// Up to seven fields side by side, the first numbers of a row of each, and the pullback.
//
// Twin of `crates/autodiff/src/join.rs`.
//
// Layouts: a field [row][width of it], the joined ones [row][width]; widths count the
// channels, the real and imaginary parts and all maps.

/// Sizes of one run of a join.
struct JoinSizes {
    /// Rows of every field.
    rows: u32,
    /// Numbers of a row of the joined fields.
    width: u32,
    /// Where the fields of this run begin within it.
    first: u32,
    /// Where field 0 of this run ends, from there.
    end0: u32,
    /// Numbers of a row of it.
    width0: u32,
    /// Where field 1 of this run ends, from there.
    end1: u32,
    /// Numbers of a row of it.
    width1: u32,
    /// Where field 2 of this run ends, from there.
    end2: u32,
    /// Numbers of a row of it.
    width2: u32,
    /// Where field 3 of this run ends, from there.
    end3: u32,
    /// Numbers of a row of it.
    width3: u32,
    /// Where field 4 of this run ends, from there.
    end4: u32,
    /// Numbers of a row of it.
    width4: u32,
    /// Where field 5 of this run ends, from there.
    end5: u32,
    /// Numbers of a row of it.
    width5: u32,
    /// Where field 6 of this run ends, from there.
    end6: u32,
    /// Numbers of a row of it.
    width6: u32,
    /// Nothing.
    padding0: u32,
    /// Nothing.
    padding1: u32,
    /// Nothing.
    padding2: u32,
}

@group(0) @binding(0) var<uniform> sizes: JoinSizes;
@group(0) @binding(1) var<storage, read_write> field0: array<real>;
@group(0) @binding(2) var<storage, read_write> field1: array<real>;
@group(0) @binding(3) var<storage, read_write> field2: array<real>;
@group(0) @binding(4) var<storage, read_write> field3: array<real>;
@group(0) @binding(5) var<storage, read_write> field4: array<real>;
@group(0) @binding(6) var<storage, read_write> field5: array<real>;
@group(0) @binding(7) var<storage, read_write> field6: array<real>;
@group(0) @binding(8) var<storage, read_write> joined: array<real>;

// joined = fields.
@compute @workgroup_size(64)
fn forward(invocation: Invocation) {
    let index = flat(invocation);
    let row = index / sizes.end6;
    let number = index % sizes.end6;
    if row >= sizes.rows {
        return;
    }
    let to = row * sizes.width + sizes.first + number;
    if number < sizes.end0 {
        joined[to] = field0[row * sizes.width0 + number];
    } else if number < sizes.end1 {
        joined[to] = field1[row * sizes.width1 + number - sizes.end0];
    } else if number < sizes.end2 {
        joined[to] = field2[row * sizes.width2 + number - sizes.end1];
    } else if number < sizes.end3 {
        joined[to] = field3[row * sizes.width3 + number - sizes.end2];
    } else if number < sizes.end4 {
        joined[to] = field4[row * sizes.width4 + number - sizes.end3];
    } else if number < sizes.end5 {
        joined[to] = field5[row * sizes.width5 + number - sizes.end4];
    } else {
        joined[to] = field6[row * sizes.width6 + number - sizes.end5];
    }
}

// gradients of the fields += joined gradient.
@compute @workgroup_size(64)
fn pullback(invocation: Invocation) {
    let index = flat(invocation);
    let row = index / sizes.end6;
    let number = index % sizes.end6;
    if row >= sizes.rows {
        return;
    }
    let g = joined[row * sizes.width + sizes.first + number];
    if number < sizes.end0 {
        field0[row * sizes.width0 + number] += g;
    } else if number < sizes.end1 {
        field1[row * sizes.width1 + number - sizes.end0] += g;
    } else if number < sizes.end2 {
        field2[row * sizes.width2 + number - sizes.end1] += g;
    } else if number < sizes.end3 {
        field3[row * sizes.width3 + number - sizes.end2] += g;
    } else if number < sizes.end4 {
        field4[row * sizes.width4 + number - sizes.end3] += g;
    } else if number < sizes.end5 {
        field5[row * sizes.width5 + number - sizes.end4] += g;
    } else {
        field6[row * sizes.width6 + number - sizes.end5] += g;
    }
}
