// One number for each invocation of a dispatch of any width: a device allows only 65,535
// workgroups in one dimension.

struct Invocation {
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
}

fn flat(invocation: Invocation) -> u32 {
    return invocation.id.x + invocation.id.y * invocation.groups.x * 64u;
}
