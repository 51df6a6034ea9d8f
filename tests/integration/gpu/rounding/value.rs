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
    /// A vector of two to four numbers.
    Vector(Vec<N>),
    /// The elements of an array, or the members of a struct.
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
            Value::Vector(x) => Value::Real(x[index].clone()),
            Value::Array(list) => list[index].clone(),
            _ => panic!("only vectors and arrays have components"),
        }
    }

    pub(crate) fn set(&mut self, index: usize, part: Self) {
        match (self, part) {
            (Value::Vector(x), Value::Real(part)) => x[index] = part,
            (Value::Array(list), part) => list[index] = part,
            _ => panic!("no such component"),
        }
    }

    /// A vector of its components.
    pub(crate) fn compose(parts: &[Self]) -> Self {
        match parts {
            [Value::Uint(a), Value::Uint(b)] => Value::Uints([*a, *b, 0]),
            [Value::Uint(a), Value::Uint(b), Value::Uint(c)] => Value::Uints([*a, *b, *c]),
            _ => Value::Vector(parts.iter().map(|part| part.real().clone()).collect()),
        }
    }

    /// A vector of so many times this number.
    pub(crate) fn splat(&self, size: usize) -> Self {
        Value::Vector(vec![self.real().clone(); size])
    }

    /// Applies to numbers, or to vectors component by component.
    pub(crate) fn map(&self, mut f: impl FnMut(&N) -> N) -> Self {
        match self {
            Value::Real(a) => Value::Real(f(a)),
            Value::Vector(x) => Value::Vector(x.iter().map(f).collect()),
            _ => panic!("numbers are expected"),
        }
    }

    /// The same of two; a number beside a vector counts for each component.
    pub(crate) fn zip(&self, other: &Self, mut f: impl FnMut(&N, &N) -> N) -> Self {
        match (self, other) {
            (Value::Real(a), Value::Real(b)) => Value::Real(f(a, b)),
            (Value::Vector(x), Value::Vector(y)) => {
                Value::Vector(x.iter().zip(y).map(|(a, b)| f(a, b)).collect())
            }
            (Value::Real(a), Value::Vector(y)) => {
                Value::Vector(y.iter().map(|b| f(a, b)).collect())
            }
            (Value::Vector(x), Value::Real(b)) => {
                Value::Vector(x.iter().map(|a| f(a, b)).collect())
            }
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
    /// An element of a buffer: one number, or a vector of them.
    pub(crate) fn read<N: Number>(
        &self,
        (at, width): (usize, usize),
        exact: bool,
        rounding: &mut Rounding,
    ) -> Value<N> {
        let mut number = |at: usize| match self {
            Memory::Field(field) => N::new(field[at].0, field[at].1),
            Memory::Numbers(table) => entry(f64::from(table[at]), exact, rounding),
            _ => panic!("a kernel reads numbers where there are none"),
        };
        match (self, width) {
            (Memory::Indices(table), 1) => Value::Uint(table[at]),
            (_, 1) => Value::Real(number(at)),
            _ => Value::Vector((at * width..(at + 1) * width).map(number).collect()),
        }
    }

    pub(crate) fn write<N: Number>(&mut self, at: usize, value: &Value<N>, undecided: bool) {
        let Memory::Field(field) = self else { panic!("a kernel writes to a table") };
        let one = |value: &N| {
            let error = if undecided { f64::INFINITY } else { value.error() };
            (value.centre(), error)
        };
        match value {
            Value::Vector(list) => {
                let to = &mut field[at * list.len()..][..list.len()];
                to.iter_mut().zip(list).for_each(|(to, value)| *to = one(value));
            }
            value => field[at] = one(value.real()),
        }
    }
}

/// A number of a table: rounded, unless the tables are the truth.
fn entry<N: Number>(x: f64, exact: bool, rounding: &mut Rounding) -> N {
    let number = N::new(x, 0.0);
    let whole = exact || x == 0.0 || x.abs() == 1.0;
    if whole { number } else { number.round(1.0, rounding) }
}
