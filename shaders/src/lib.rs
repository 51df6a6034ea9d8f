//! The WGSL kernels of skyscat, validated when the crate is built.
//!
//! **What it is.** Every file of `wgsl/` as a string, with the names and
//! workgroup sizes of its entry points, and a plain `#[repr(C)]` mirror of each
//! uniform struct, made from the WGSL so that the two cannot differ. A file that
//! naga refuses stops the build with its name, line and message.
//!
//! **What it is not.** It talks to no device and knows no pipeline: that is the
//! work of the crate that owns the GPU.
//!
//! **Who should use it.** Operators that bring a GPU kernel beside their CPU
//! kernel; each WGSL file names the Rust file that it is the twin of.
//!
//! **What it may depend on.** Nothing at run time; naga when it is built.
//!
//! ```
//! use skyscat_shaders::{CONVOLVE, ConvolveSizes, KERNELS};
//! assert!(CONVOLVE.contains("fn pullback"));
//! let sizes = ConvolveSizes { pixels: 3072, channels: 1, orientations: 4, quads: 4 };
//! assert_eq!(size_of_val(&sizes), 16);
//! assert!(KERNELS.iter().any(|kernel| kernel.name == "modulus"));
//! assert_eq!(skyscat_shaders::kernel("convolve").unwrap().uniforms[0], "pixels");
//! ```

/// A validated WGSL file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Stem of the file, which is also that of its CPU twin.
    pub name: &'static str,
    /// The WGSL text, for numbers of 32 bits.
    pub source: &'static str,
    /// The same for numbers of 64 bits, for devices that have them.
    pub double: &'static str,
    /// Its compute entry points.
    pub entries: &'static [Entry],
    /// How each binding of group 0 is used, from number 0 on, which is the uniform.
    pub bindings: &'static [Access],
    /// Members of the uniform struct, 32-bit numbers, in order.
    pub uniforms: &'static [&'static str],
}

/// How a kernel uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Sizes.
    Uniform,
    /// Numbers that it reads.
    Read,
    /// Numbers that it reads and writes.
    Write,
}

/// The kernel of a name.
pub fn kernel(name: &str) -> Option<&'static Kernel> {
    KERNELS.iter().find(|kernel| kernel.name == name)
}

impl Kernel {
    /// An entry point by name.
    pub fn entry(&self, name: &str) -> Option<Entry> {
        self.entries.iter().copied().find(|entry| entry.name == name)
    }
}

/// A compute entry point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the function.
    pub name: &'static str,
    /// Invocations of a workgroup in x, y, z.
    pub workgroup: [u32; 3],
}

include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

#[cfg(test)]
#[path = "../build/validate.rs"]
mod validate;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_has_workgroups_of_64_and_at_most_eight_buffers() {
        for kernel in KERNELS {
            assert!(!kernel.entries.is_empty(), "{}", kernel.name);
            for entry in kernel.entries {
                // The invocation index of the sources counts on 64 in x.
                assert_eq!(entry.workgroup, [64, 1, 1], "{} {}", kernel.name, entry.name);
            }
            assert_eq!(kernel.entry("no such entry"), None);
            assert_eq!(kernel.bindings[0], Access::Uniform, "{}", kernel.name);
            // What every adapter allows beside the uniform.
            assert!(kernel.bindings.len() <= 9, "{}", kernel.name);
        }
    }

    #[test]
    fn a_syntax_error_is_refused_with_file_and_line() {
        let broken = CONVOLVE.replace("var re = quad();", "var re = ;");
        assert_ne!(broken, CONVOLVE);
        let line = 1 + broken.lines().position(|l| l.contains("var re = ;")).unwrap();
        let message = validate::validate(&[("wgsl/broken.wgsl", &broken)]).unwrap_err();
        assert!(message.starts_with(&format!("wgsl/broken.wgsl:{line}: ")), "{message}");
        assert!(message.contains("expected expression"), "{message}");
    }

    #[test]
    fn an_error_in_a_prelude_is_named_by_its_own_line() {
        let own = "@compute @workgroup_size(64)\nfn forward() {}\n";
        for (prelude, line) in [("fn f() {\n    let x = ;\n}\n", 2), ("\n\nfn f() { x }\n", 3)] {
            let files = [("wgsl/own.wgsl", own), ("wgsl/prelude/broken.wgsl", prelude)];
            let message = validate::validate(&files).unwrap_err();
            let start = format!("wgsl/prelude/broken.wgsl:{line}: ");
            assert!(message.starts_with(&start), "{message}");
        }
        let broken = "@compute @workgroup_size(64)\nfn forward() {\n    let x: u32 = 1.5;\n}\n";
        let files = [("wgsl/own.wgsl", broken), ("wgsl/prelude/good.wgsl", "fn f() {}\n")];
        let message = validate::validate(&files).unwrap_err();
        assert!(message.starts_with("wgsl/own.wgsl:3: "), "{message}");
    }

    #[test]
    fn a_type_error_is_refused_with_file_and_line() {
        let broken = MODULUS.replace("let re = z[at];", "let re: u32 = z[at];");
        let line = 1 + broken.lines().position(|l| l.contains("let re: u32")).unwrap();
        let message = validate::validate(&[("wgsl/broken.wgsl", &broken)]).unwrap_err();
        assert!(message.starts_with(&format!("wgsl/broken.wgsl:{line}: ")), "{message}");
    }

    #[test]
    fn an_invalid_module_is_refused_by_the_validator() {
        let source = "@compute @workgroup_size(0)\nfn forward() {}\n";
        let message = validate::validate(&[("wgsl/broken.wgsl", source)]).unwrap_err();
        assert!(message.contains("wgsl/broken.wgsl"), "{message}");
        assert!(validate::validate(&[("wgsl/modulus.wgsl", MODULUS)]).is_ok());
    }

    #[test]
    fn numbers_of_64_bits_are_for_devices_that_have_them_alone() {
        let source = "@group(0) @binding(0) var<storage, read_write> x: array<f64>;\n\
                      @compute @workgroup_size(1) fn forward() { x[0] = x[1] * x[2]; }\n";
        let files = [("wgsl/double.wgsl", source)];
        assert!(validate::validate_double(&files).is_ok());
        assert!(validate::validate(&files).is_err());
    }
}
