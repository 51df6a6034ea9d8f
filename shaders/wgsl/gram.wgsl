// Scalar products of up to four vectors with up to three others.
//
// Twin of `dot` in `crates/autodiff/src/optimise/vector.rs`. A workgroup adds one part
// of all products: an invocation every 64th number, sixteen at a time, and then the
// invocations by a fixed tree. Which vectors stand together changes no sum.
//
// Layouts: vectors [number]; partials [part][product], and after the parts one row of
// results [product]; product = first + vector·others + other.

/// Sizes of one run, over one piece of the vectors.
struct GramSizes {
    /// Length of the piece.
    numbers: u32,
    /// Numbers of a part, a multiple of 64.
    chunk: u32,
    /// Parts before the piece.
    before: u32,
    /// Its parts, of at most 256 in all.
    parts: u32,
    /// Vectors of this run.
    vectors: u32,
    /// Others of this run.
    others: u32,
    /// First product of this run.
    first: u32,
    /// Products of all runs.
    products: u32,
}

@group(0) @binding(0) var<uniform> sizes: GramSizes;
@group(0) @binding(1) var<storage, read> a0: array<real>;
@group(0) @binding(2) var<storage, read> a1: array<real>;
@group(0) @binding(3) var<storage, read> a2: array<real>;
@group(0) @binding(4) var<storage, read> a3: array<real>;
@group(0) @binding(5) var<storage, read> b0: array<real>;
@group(0) @binding(6) var<storage, read> b1: array<real>;
@group(0) @binding(7) var<storage, read> b2: array<real>;
@group(0) @binding(8) var<storage, read_write> partials: array<real>;

var<workgroup> tree: array<real, 64>;

fn vector(which: u32, at: u32) -> real {
    switch which {
        case 0u: { return a0[at]; }
        case 1u: { return a1[at]; }
        case 2u: { return a2[at]; }
        default: { return a3[at]; }
    }
}

fn other(which: u32, at: u32) -> real {
    switch which {
        case 0u: { return b0[at]; }
        case 1u: { return b1[at]; }
        default: { return b2[at]; }
    }
}

// The sum of the 64 numbers of a workgroup, by a fixed tree.
fn added(lane: u32, mine: real) -> real {
    tree[lane] = mine;
    workgroupBarrier();
    for (var stride = 32u; stride > 0u; stride /= 2u) {
        if lane < stride {
            tree[lane] += tree[lane + stride];
        }
        workgroupBarrier();
    }
    let sum = tree[0];
    workgroupBarrier();
    return sum;
}

// One part of all products.
@compute @workgroup_size(64)
fn parts(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let part = id.x + id.y * groups.x;
    let end = min((part + 1u) * sizes.chunk, sizes.numbers);
    for (var i = 0u; i < sizes.vectors; i++) {
        for (var j = 0u; j < sizes.others; j++) {
            var sum: real = 0.0;
            for (var block = part * sizes.chunk + lane; block < end; block += 1024u) {
                var few: real = 0.0;
                for (var at = block; at < min(block + 1024u, end); at += 64u) {
                    few = fma(vector(i, at), other(j, at), few);
                }
                sum += few;
            }
            let total = added(lane, sum);
            if lane == 0u && part < sizes.parts {
                let row = (sizes.before + part) * sizes.products;
                partials[row + sizes.first + i * sizes.others + j] = total;
            }
        }
    }
}

// The parts of one product.
@compute @workgroup_size(64)
fn finish(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let product = id.x + id.y * groups.x;
    var sum: real = 0.0;
    if product < sizes.products {
        for (var part = lane; part < sizes.parts; part += 64u) {
            sum += partials[part * sizes.products + product];
        }
    }
    let total = added(lane, sum);
    if lane == 0u && product < sizes.products {
        partials[sizes.parts * sizes.products + product] = total;
    }
}
