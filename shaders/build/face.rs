//! The Rust face of a WGSL module: its source, workgroup sizes, uniform structs.

use naga::{
    AddressSpace, Handle, Module, ScalarKind, StorageAccess, StructMember, Type, TypeInner,
};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

/// A uniform struct as Rust sees it.
struct Mirror {
    name: String,
    docs: Vec<String>,
    members: Vec<(Vec<String>, String, &'static str)>,
    bytes: u32,
}

/// What the crate shows of one file.
pub(crate) struct Face {
    constant: String,
    shown: String,
    entries: Vec<(String, [u32; 3])>,
    bindings: Vec<&'static str>,
    mirrors: Vec<Mirror>,
}

impl Face {
    /// The face of a validated module.
    ///
    /// # Errors
    /// If a uniform struct has a member that is no plain 32-bit number, or a gap.
    pub(crate) fn new(stem: &str, shown: &str, module: &Module) -> Result<Self, String> {
        let uniforms = module.global_variables.iter().filter_map(|(_, variable)| {
            (variable.space == AddressSpace::Uniform).then_some(variable.ty)
        });
        let mirrors = uniforms.map(|ty| mirror(shown, module, ty)).collect::<Result<_, _>>()?;
        let entries = module.entry_points.iter();
        Ok(Self {
            constant: stem.to_uppercase(),
            shown: shown.to_owned(),
            entries: entries.map(|e| (e.name.clone(), e.workgroup_size)).collect(),
            bindings: bindings(shown, module)?,
            mirrors,
        })
    }

    /// Name of the constant that holds the source.
    pub(crate) fn constant(&self) -> String {
        self.constant.clone()
    }

    /// Rust text; `files` are where the source is read from when it is compiled, the last
    /// two of them one for each precision, and `mirrored` the uniform structs that the text
    /// has already.
    pub(crate) fn text(&self, files: &[PathBuf], mirrored: &mut BTreeSet<String>) -> String {
        let Self { constant, shown, entries, bindings, mirrors } = self;
        let include = |file: &PathBuf| format!("include_str!({:?})", file.display().to_string());
        let sources: Vec<String> = files.iter().map(include).collect();
        let (common, reals) = sources.split_at(sources.len() - 2);
        let common = common.join(", ");
        let mut text = format!(
            "/// Source of `{shown}`, preludes included.\n\
             pub const {constant}: &str = concat!({common}, {});\n\n",
            reals[0]
        );
        let _ = write!(
            text,
            "/// The validated kernel of `{shown}`.\n\
             pub const {constant}_KERNEL: Kernel = Kernel {{\n    \
             name: {:?},\n    source: {constant},\n    \
             double: concat!({common}, {}),\n    entries: &[",
            constant.to_lowercase(),
            reals[1]
        );
        for (name, size) in entries {
            let _ = write!(text, "Entry {{ name: {name:?}, workgroup: {size:?} }}, ");
        }
        let bindings: Vec<String> = bindings.iter().map(|b| format!("Access::{b}")).collect();
        let members = mirrors.iter().flat_map(|m| &m.members);
        let members: Vec<String> = members.map(|(_, name, _)| format!("{name:?}")).collect();
        let _ = write!(
            text,
            "],\n    bindings: &[{}],\n    uniforms: &[{}],\n}};\n\n",
            bindings.join(", "),
            members.join(", ")
        );
        for mirror in mirrors {
            if mirrored.insert(mirror.name.clone()) {
                text += &mirror.text();
            }
        }
        text
    }
}

impl Mirror {
    fn text(&self) -> String {
        let docs = |docs: &[String], fallback: String, indent: &str| -> String {
            let lines = match docs.is_empty() {
                true => vec![fallback],
                false => docs.to_vec(),
            };
            lines.iter().map(|line| format!("{indent}/// {line}\n")).collect()
        };
        let Self { name, members, bytes, .. } = self;
        let mut text = docs(&self.docs, format!("Uniforms `{name}`."), "");
        text += "#[repr(C)]\n#[derive(Clone, Copy, Debug, Default, PartialEq)]\n";
        let _ = writeln!(text, "pub struct {name} {{");
        for (lines, member, ty) in members {
            text += &docs(lines, format!("Member `{member}`."), "    ");
            let _ = writeln!(text, "    pub {member}: {ty},");
        }
        let _ = writeln!(text, "}}\n\nconst _: () = assert!(size_of::<{name}>() == {bytes});");
        for (at, (_, member, _)) in members.iter().enumerate() {
            let offset = 4 * at;
            let _ = writeln!(
                text,
                "const _: () = assert!(std::mem::offset_of!({name}, {member}) == {offset});"
            );
        }
        text + "\n"
    }
}

/// How each binding of group 0 is used, in the order of their numbers.
fn bindings(shown: &str, module: &Module) -> Result<Vec<&'static str>, String> {
    let mut found = Vec::new();
    for (_, variable) in module.global_variables.iter() {
        let Some(place) = &variable.binding else { continue };
        let access = match variable.space {
            AddressSpace::Uniform => "Uniform",
            AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => "Write",
            _ => "Read",
        };
        found.push(((place.group, place.binding), access));
    }
    found.sort_unstable();
    let expected = (0..found.len() as u32).map(|at| (0, at));
    if !found.iter().map(|(place, _)| *place).eq(expected) {
        return Err(format!("{shown}: bindings must be 0, 1, 2, … of group 0"));
    }
    if found.first().is_none_or(|(_, access)| *access != "Uniform") {
        return Err(format!("{shown}: binding 0 must be the sizes, a uniform"));
    }
    Ok(found.into_iter().map(|(_, access)| access).collect())
}

fn mirror(shown: &str, module: &Module, ty: Handle<Type>) -> Result<Mirror, String> {
    let refuse = |what: String| format!("{shown}: {what}");
    let Type { name, inner } = &module.types[ty];
    let (Some(name), TypeInner::Struct { members, span }) = (name, inner) else {
        return Err(refuse("a uniform must be a named struct".to_owned()));
    };
    let comments = module.doc_comments.as_deref();
    let mut fields = Vec::new();
    for (at, member) in members.iter().enumerate() {
        let field = member.name.clone().unwrap_or_default();
        let (rust, expected) = (plain(module, member), 4 * at as u32);
        let Some(rust) = rust.filter(|_| member.offset == expected) else {
            let allowed = "allowed are u32, i32 and f32, one after the other";
            return Err(refuse(format!("{name}.{field} has no plain mirror: {allowed}")));
        };
        let docs = comments.and_then(|c| c.struct_members.get(&(ty, at)));
        fields.push((lines(docs), field, rust));
    }
    if *span != 4 * fields.len() as u32 {
        return Err(refuse(format!("{name} has {span} bytes: pad it with members")));
    }
    let docs = lines(comments.and_then(|c| c.types.get(&ty)));
    Ok(Mirror { name: name.clone(), docs, members: fields, bytes: *span })
}

fn lines(docs: Option<&Vec<String>>) -> Vec<String> {
    let lines = docs.into_iter().flatten();
    lines.map(|line| line.trim_start_matches('/').trim().to_owned()).collect()
}

/// The Rust type of a 32-bit member.
fn plain(module: &Module, member: &StructMember) -> Option<&'static str> {
    match module.types[member.ty].inner {
        TypeInner::Scalar(scalar) if scalar.width == 4 => match scalar.kind {
            ScalarKind::Uint => Some("u32"),
            ScalarKind::Sint => Some("i32"),
            ScalarKind::Float => Some("f32"),
            _ => None,
        },
        _ => None,
    }
}

/// The constant that lists every kernel.
pub(crate) fn list(constants: &[String]) -> String {
    let names: Vec<String> = constants.iter().map(|c| format!("{c}_KERNEL")).collect();
    format!(
        "/// Every kernel, in the order of the file names.\n\
         pub const KERNELS: &[Kernel] = &[{}];\n",
        names.join(", ")
    )
}
