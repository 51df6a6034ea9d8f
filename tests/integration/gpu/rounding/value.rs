//! Values of an interpreted kernel, and the memory that it sees.

use super::number::{Number, Rounding};

/// A value of an expression.
#[derive(Clone, Debug)]
pub(crate) enum Value<N> {
    Nothing,
    Bool(bool),
    Uint(u32),
    Real(N),
    /// A vector of two or three counts.
    Uints([u32; 3]),
    /// A vector of two numbers.
    Pair([N; 2]),
    Array(Vec<Value<N>>),
    Place(Place),
}

impl<N: Number> Value<N> {
    pub(crate) fn real(&self) -> &N {
        match self {
            Value::Real(x) => x,
            _ => panic!("a number is expected"),
        }
    }

    pub(crate) fn uint(&self) -> u32 {
        match self {
            Value::Uint(n) => *n,
            _ => panic!("a count is expected"),
        }
    }

    pub(crate) fn bool(&self) -> bool {
        match self {
            Value::Bool(b) => *b,
            _ => panic!("a truth value is expected"),
        }
    }

    /// Component of a vector, element of an array.
    pub(crate) fn at(&self, index: usize) -> Self {
        match self {
            Value::Uints(n) => Value::Uint(n[index]),
            Value::Pair(x) => Value::Real(x[index].clone()),
            Value::Array(list) => list[index].clone(),
            _ => panic!("only vectors and arrays have components"),
        }
    }

    pub(crate) fn set(&mut self, index: usize, part: Self) {
        match (self, part) {
            (Value::Pair(x), Value::Real(part)) => x[index] = part,
            (Value::Array(list), part) => list[index] = part,
            _ => panic!("no such component"),
        }
    }

    /// A vector of its components.
    pub(crate) fn compose(parts: &[Self]) -> Self {
        match parts {
            [Value::Real(a), Value::Real(b)] => Value::Pair([a.clone(), b.clone()]),
            [Value::Uint(a), Value::Uint(b)] => Value::Uints([*a, *b, 0]),
            [Value::Uint(a), Value::Uint(b), Value::Uint(c)] => Value::Uints([*a, *b, *c]),
            _ => panic!("vectors have two numbers, or two or three counts"),
        }
    }

    /// Applies to numbers, or to vectors component by component.
    pub(crate) fn map(&self, mut f: impl FnMut(&N) -> N) -> Self {
        match self {
            Value::Real(a) => Value::Real(f(a)),
            Value::Pair([a, b]) => Value::Pair([f(a), f(b)]),
            _ => panic!("numbers are expected"),
        }
    }

    /// The same of two; a number beside a vector counts for each component.
    pub(crate) fn zip(&self, other: &Self, mut f: impl FnMut(&N, &N) -> N) -> Self {
        match (self, other) {
            (Value::Real(a), Value::Real(b)) => Value::Real(f(a, b)),
            (Value::Pair([a, b]), Value::Pair([c, d])) => Value::Pair([f(a, c), f(b, d)]),
            (Value::Real(a), Value::Pair([c, d])) => Value::Pair([f(a, c), f(a, d)]),
            (Value::Pair([a, b]), Value::Real(c)) => Value::Pair([f(a, c), f(b, c)]),
            _ => panic!("numbers are expected"),
        }
    }
}

/// What a pointer points to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) root: Root,
    /// Indices below the root.
    pub(crate) path: [u32; 2],
    pub(crate) depth: usize,
}

/// A variable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Root {
    /// The uniform.
    Sizes,
    /// A storage buffer, by its place among the bindings after the uniform.
    Storage(usize),
    /// A variable of the function.
    Local(usize),
}

impl Place {
    pub(crate) fn new(root: Root) -> Self {
        Self { root, path: [0; 2], depth: 0 }
    }

    pub(crate) fn below(mut self, index: u32) -> Self {
        self.path[self.depth] = index;
        self.depth += 1;
        self
    }
}

/// A buffer as kernels see it.
#[derive(Clone, Debug)]
pub(crate) enum Memory {
    /// Centres and bounds of numbers that a kernel or the host made.
    Field(Vec<(f64, f64)>),
    /// A table, rounded once from double precision.
    Numbers(Vec<f32>),
    Indices(Vec<u32>),
    /// Bound where the kernel does not look.
    Unused,
}

impl Memory {
    pub(crate) fn read<N: Number>(
        &self,
        at: usize,
        exact: bool,
        rounding: &mut Rounding,
    ) -> Value<N> {
        match self {
            Memory::Field(field) => Value::Real(N::new(field[at].0, field[at].1)),
            Memory::Numbers(table) => Value::Real(entry(f64::from(table[at]), exact, rounding)),
            Memory::Indices(table) => Value::Uint(table[at]),
            Memory::Unused => panic!("a kernel reads a binding that is not used"),
        }
    }

    pub(crate) fn write<N: Number>(&mut self, at: usize, value: &N, undecided: bool) {
        let Memory::Field(field) = self else { panic!("a kernel writes to a table") };
        let error = if undecided { f64::INFINITY } else { value.error() };
        field[at] = (value.centre(), error);
    }
}

/// A number of a table: rounded, unless the tables are the truth.
fn entry<N: Number>(x: f64, exact: bool, rounding: &mut Rounding) -> N {
    let number = N::new(x, 0.0);
    let whole = exact || x == 0.0 || x.abs() == 1.0;
    if whole { number } else { number.round(1.0, rounding) }
}
