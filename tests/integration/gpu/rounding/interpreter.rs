//! Runs a WGSL kernel on numbers that carry bounds of their errors.
//!
//! The bounds follow from the text of the kernel: which products and sums it takes, in
//! which order, and how long its loops are for the sizes at hand. It knows the part of
//! WGSL that the kernels are written in and panics at anything else.

use super::number::{Number, Rounding};
use super::value::{Memory, Place, Root, Value};
use naga::{
    BinaryOperator, Block, BuiltIn, Expression, Function, Handle, Literal, LocalVariable,
    MathFunction, Module, Statement, Type, TypeInner, UnaryOperator,
};
use std::collections::BTreeSet;

/// A run of an entry point: uniform, buffers, and what tables are.
pub(crate) struct Machine<'a> {
    pub(crate) module: &'a Module,
    pub(crate) sizes: Vec<usize>,
    pub(crate) memory: Vec<Memory>,
    /// Whether tables are the truth, instead of roundings of it.
    pub(crate) exact_tables: bool,
    pub(crate) rounding: Rounding,
    pub(crate) reads: Reads,
    /// Numbers of an element of each buffer.
    pub(crate) widths: Vec<usize>,
}

/// Numbers of an element of each buffer that a module binds.
pub(crate) fn widths(module: &Module) -> Vec<usize> {
    let mut found: Vec<(u32, usize)> = Vec::new();
    for (_, variable) in module.global_variables.iter() {
        let (Some(place), TypeInner::Array { base, .. }) =
            (&variable.binding, &module.types[variable.ty].inner)
        else {
            continue;
        };
        found.push((place.binding, lanes(&module.types[*base].inner)));
    }
    found.sort_unstable();
    found.into_iter().map(|(_, width)| width).collect()
}

/// Numbers of a vector; 1 for one that is none.
fn lanes(inner: &TypeInner) -> usize {
    match inner {
        TypeInner::Vector { size, .. } => *size as usize,
        _ => 1,
    }
}

/// What a run has looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reads {
    /// Members of the uniform.
    pub(crate) sizes: BTreeSet<usize>,
    /// Bindings after the uniform.
    pub(crate) bindings: BTreeSet<usize>,
}

enum Flow<N> {
    Next,
    Break,
    Continue,
    Return(Value<N>),
}

/// Values of one call of a function.
struct Frame<'f, N> {
    function: &'f Function,
    values: Vec<Value<N>>,
    locals: Vec<Value<N>>,
}

impl<'f, N: Number> Frame<'f, N> {
    fn value(&self, handle: Handle<Expression>) -> &Value<N> {
        &self.values[handle.index()]
    }
}

impl<'a> Machine<'a> {
    /// Runs `invocations` of an entry point in order.
    pub(crate) fn run<N: Number>(&mut self, entry: &str, invocations: usize) {
        let module = self.module;
        let entry = module.entry_points.iter().find(|e| e.name == entry).expect("checked before");
        let groups = invocations.div_ceil(64) as u32;
        for id in 0..groups * 64 {
            self.rounding.begin();
            let builtin = |binding: &Option<naga::Binding>| match binding {
                Some(naga::Binding::BuiltIn(BuiltIn::GlobalInvocationId)) => {
                    Value::Uints([id, 0, 0])
                }
                Some(naga::Binding::BuiltIn(BuiltIn::NumWorkGroups)) => {
                    Value::Uints([groups, 1, 1])
                }
                other => panic!("{other:?} is not known"),
            };
            let arguments = entry.function.arguments.iter().map(|argument| {
                match &module.types[argument.ty].inner {
                    TypeInner::Struct { members, .. } => {
                        Value::Array(members.iter().map(|m| builtin(&m.binding)).collect())
                    }
                    _ => builtin(&argument.binding),
                }
            });
            self.call::<N>(&entry.function, arguments.collect());
        }
    }

    fn call<N: Number>(&mut self, function: &'a Function, arguments: Vec<Value<N>>) -> Value<N> {
        let mut frame = Frame {
            function,
            values: vec![Value::Nothing; function.expressions.len()],
            locals: Vec::with_capacity(function.local_variables.len()),
        };
        for (handle, expression) in function.expressions.iter() {
            let known = match expression {
                Expression::FunctionArgument(at) => arguments[*at as usize].clone(),
                Expression::Literal(literal) => literal_value(literal),
                Expression::GlobalVariable(variable) => {
                    let place = self.module.global_variables[*variable].binding;
                    let root = match place.expect("globals are bound").binding {
                        0 => Root::Sizes,
                        n => Root::Storage(n as usize - 1),
                    };
                    Value::Place(Place::new(root))
                }
                Expression::LocalVariable(variable) => {
                    Value::Place(Place::new(Root::Local(variable.index())))
                }
                Expression::Constant(constant) => {
                    let init = self.module.constants[*constant].init;
                    match &self.module.global_expressions[init] {
                        Expression::Literal(literal) => literal_value(literal),
                        _ => panic!("constants are literals"),
                    }
                }
                Expression::ZeroValue(ty) => self.zero(*ty),
                // Constant vectors are emitted nowhere.
                Expression::Compose { components, .. } if constant(function, components) => {
                    let parts: Vec<_> =
                        components.iter().map(|c| frame.value(*c).clone()).collect();
                    Value::compose(&parts)
                }
                Expression::Splat { value, size } if constant(function, &[*value]) => {
                    frame.value(*value).splat(*size as usize)
                }
                _ => continue,
            };
            frame.values[handle.index()] = known;
        }
        for (_, variable) in function.local_variables.iter() {
            let start = self.start(&frame, variable);
            frame.locals.push(start);
        }
        match self.block(&mut frame, &function.body) {
            Flow::Return(value) => value,
            _ => Value::Nothing,
        }
    }

    fn start<N: Number>(&self, frame: &Frame<'_, N>, variable: &LocalVariable) -> Value<N> {
        match variable.init {
            Some(init) => frame.value(init).clone(),
            None => self.zero(variable.ty),
        }
    }

    fn zero<N: Number>(&self, ty: Handle<Type>) -> Value<N> {
        let zero = N::new(0.0, 0.0);
        match &self.module.types[ty].inner {
            TypeInner::Scalar(scalar) if scalar.kind == naga::ScalarKind::Float => {
                Value::Real(zero)
            }
            TypeInner::Scalar(scalar) if scalar.kind == naga::ScalarKind::Bool => {
                Value::Bool(false)
            }
            TypeInner::Scalar(_) => Value::Uint(0),
            TypeInner::Vector { scalar, size } if scalar.kind == naga::ScalarKind::Float => {
                Value::Vector(vec![zero; *size as usize])
            }
            TypeInner::Struct { members, .. } => {
                Value::Array(members.iter().map(|member| self.zero(member.ty)).collect())
            }
            TypeInner::Vector { .. } => Value::Uints([0; 3]),
            TypeInner::Array { base, size: naga::ArraySize::Constant(size), .. } => {
                Value::Array(vec![self.zero(*base); size.get() as usize])
            }
            other => panic!("{other:?} has no zero"),
        }
    }

    fn block<N: Number>(&mut self, frame: &mut Frame<'a, N>, block: &'a Block) -> Flow<N> {
        for statement in block {
            let flow = self.statement(frame, statement);
            if !matches!(flow, Flow::Next) {
                return flow;
            }
        }
        Flow::Next
    }

    fn statement<N: Number>(
        &mut self,
        frame: &mut Frame<'a, N>,
        statement: &'a Statement,
    ) -> Flow<N> {
        match statement {
            Statement::Emit(range) => {
                for handle in range.clone() {
                    let value = self.evaluate(frame, handle);
                    frame.values[handle.index()] = value;
                }
            }
            Statement::Block(block) => return self.block(frame, block),
            Statement::If { condition, accept, reject } => {
                let taken = if frame.value(*condition).bool() { accept } else { reject };
                return self.block(frame, taken);
            }
            Statement::Loop { body, continuing, break_if: None } => loop {
                match self.block(frame, body) {
                    Flow::Break => return Flow::Next,
                    Flow::Return(value) => return Flow::Return(value),
                    Flow::Next | Flow::Continue => {}
                }
                self.block(frame, continuing);
            },
            Statement::Break => return Flow::Break,
            Statement::Continue => return Flow::Continue,
            Statement::Return { value } => {
                let value = value.map_or(Value::Nothing, |v| frame.value(v).clone());
                return Flow::Return(value);
            }
            Statement::Store { pointer, value } => {
                let Value::Place(place) = *frame.value(*pointer) else { panic!("a pointer") };
                let value = frame.value(*value).clone();
                self.store(frame, place, value);
            }
            Statement::Call { function, arguments, result } => {
                let arguments = arguments.iter().map(|a| frame.value(*a).clone()).collect();
                let value = self.call(&self.module.functions[*function], arguments);
                if let Some(result) = result {
                    frame.values[result.index()] = value;
                }
            }
            other => panic!("{other:?} is not known"),
        }
        Flow::Next
    }

    fn store<N: Number>(&mut self, frame: &mut Frame<'_, N>, place: Place, value: Value<N>) {
        let [first, second] = place.path.map(|i| i as usize);
        match (place.root, place.depth) {
            (Root::Storage(at), 1) => {
                self.memory[at].write(first, &value, self.rounding.undecided);
            }
            (Root::Local(at), 0) => frame.locals[at] = value,
            (Root::Local(at), 1) => frame.locals[at].set(first, value),
            (Root::Local(at), 2) => {
                let Value::Array(list) = &mut frame.locals[at] else { panic!("an array") };
                list[first].set(second, value);
            }
            _ => panic!("a store to {place:?}"),
        }
    }

    fn load<N: Number>(&mut self, frame: &Frame<'_, N>, place: Place) -> Value<N> {
        let [first, second] = place.path.map(|i| i as usize);
        match (place.root, place.depth) {
            (Root::Sizes, 1) => {
                self.reads.sizes.insert(first);
                Value::Uint(self.sizes[first] as u32)
            }
            (Root::Storage(at), 1 | 2) => {
                self.reads.bindings.insert(at);
                let element = (first, self.widths[at]);
                let value = self.memory[at].read(element, self.exact_tables, &mut self.rounding);
                if place.depth == 2 { value.at(second) } else { value }
            }
            (Root::Local(at), 0) => frame.locals[at].clone(),
            (Root::Local(at), 1) => frame.locals[at].at(first),
            (Root::Local(at), 2) => frame.locals[at].at(first).at(second),
            _ => panic!("a load from {place:?}"),
        }
    }

    fn evaluate<N: Number>(
        &mut self,
        frame: &Frame<'a, N>,
        handle: Handle<Expression>,
    ) -> Value<N> {
        match &frame.function.expressions[handle] {
            Expression::Load { pointer } => match *frame.value(*pointer) {
                Value::Place(place) => self.load(frame, place),
                _ => panic!("loads are from pointers"),
            },
            Expression::Access { base, index } => {
                let index = frame.value(*index).uint();
                access(frame.value(*base), index)
            }
            Expression::AccessIndex { base, index } => access(frame.value(*base), *index),
            Expression::Compose { ty, components } => {
                let parts: Vec<_> = components.iter().map(|c| frame.value(*c).clone()).collect();
                match self.module.types[*ty].inner {
                    TypeInner::Struct { .. } => Value::Array(parts),
                    _ => Value::compose(&parts),
                }
            }
            Expression::Splat { value, size } => frame.value(*value).splat(*size as usize),
            Expression::Swizzle { size, vector, pattern } => {
                let from = frame.value(*vector);
                let parts = pattern[..*size as usize].iter().map(|&at| from.at(at as usize));
                Value::compose(&parts.collect::<Vec<_>>())
            }
            Expression::Unary { op: UnaryOperator::Negate, expr } => {
                frame.value(*expr).map(N::negated)
            }
            Expression::Unary { op: UnaryOperator::LogicalNot, expr } => {
                Value::Bool(!frame.value(*expr).bool())
            }
            Expression::Binary { op, left, right } => {
                binary(*op, frame.value(*left), frame.value(*right), &mut self.rounding)
            }
            Expression::Select { condition, accept, reject } => {
                let taken = if frame.value(*condition).bool() { accept } else { reject };
                frame.value(*taken).clone()
            }
            Expression::Math { fun, arg, arg1, arg2, .. } => {
                let arguments = [Some(*arg), *arg1, *arg2].map(|a| a.map(|a| frame.value(a)));
                math(*fun, arguments, &mut self.rounding)
            }
            Expression::As { expr, kind, .. } => {
                let n = frame.value(*expr).uint();
                assert_eq!(*kind, naga::ScalarKind::Float, "counts become numbers");
                assert!(n < 1 << 24, "exact in single precision");
                Value::Real(N::new(f64::from(n), 0.0))
            }
            // Known before the function began.
            _ => frame.value(handle).clone(),
        }
    }
}

fn constant(function: &Function, parts: &[Handle<Expression>]) -> bool {
    parts.iter().all(|&p| matches!(function.expressions[p], Expression::Literal(_)))
}

fn literal_value<N: Number>(literal: &Literal) -> Value<N> {
    match *literal {
        Literal::F32(x) => Value::Real(N::new(f64::from(x), 0.0)),
        Literal::F64(x) => Value::Real(N::new(x, 0.0)),
        Literal::U32(n) => Value::Uint(n),
        Literal::Bool(b) => Value::Bool(b),
        ref other => panic!("{other:?} is not known"),
    }
}

fn access<N: Number>(base: &Value<N>, index: u32) -> Value<N> {
    match base {
        Value::Place(place) => Value::Place(place.below(index)),
        other => other.at(index as usize),
    }
}

fn binary<N: Number>(
    op: BinaryOperator,
    left: &Value<N>,
    right: &Value<N>,
    rounding: &mut Rounding,
) -> Value<N> {
    use BinaryOperator as Op;
    match (left, right) {
        (Value::Uint(a), Value::Uint(b)) => match op {
            Op::Add => Value::Uint(a.wrapping_add(*b)),
            Op::Subtract => Value::Uint(a.wrapping_sub(*b)),
            Op::Multiply => Value::Uint(a.wrapping_mul(*b)),
            Op::Divide => Value::Uint(a / b),
            Op::Modulo => Value::Uint(a % b),
            Op::And => Value::Uint(a & b),
            Op::ShiftRight => Value::Uint(a >> b),
            Op::Equal => Value::Bool(a == b),
            Op::NotEqual => Value::Bool(a != b),
            Op::Less => Value::Bool(a < b),
            Op::LessEqual => Value::Bool(a <= b),
            Op::Greater => Value::Bool(a > b),
            Op::GreaterEqual => Value::Bool(a >= b),
            _ => panic!("{op:?} of counts is not known"),
        },
        (Value::Bool(a), Value::Bool(b)) => match op {
            Op::LogicalAnd | Op::And => Value::Bool(*a && *b),
            Op::LogicalOr => Value::Bool(*a || *b),
            Op::Equal => Value::Bool(a == b),
            _ => panic!("{op:?} of truth values is not known"),
        },
        _ => match op {
            Op::Add => left.zip(right, |a, b| a.add(b, rounding)),
            Op::Subtract => left.zip(right, |a, b| a.add(&b.negated(), rounding)),
            Op::Multiply => left.zip(right, |a, b| a.multiply(b, rounding)),
            Op::Divide => left.zip(right, |a, b| a.divide(b, rounding)),
            _ => {
                let difference = left.real().compare(right.real(), rounding);
                Value::Bool(match op {
                    Op::Equal => difference == 0.0,
                    Op::NotEqual => difference != 0.0,
                    Op::Less => difference < 0.0,
                    Op::LessEqual => difference <= 0.0,
                    Op::Greater => difference > 0.0,
                    Op::GreaterEqual => difference >= 0.0,
                    _ => panic!("{op:?} of numbers is not known"),
                })
            }
        },
    }
}

fn math<N: Number>(
    fun: MathFunction,
    [a, b, c]: [Option<&Value<N>>; 3],
    rounding: &mut Rounding,
) -> Value<N> {
    let a = a.expect("functions have an argument");
    let second = || b.expect("a second argument");
    match fun {
        MathFunction::Min => Value::Uint(a.uint().min(second().uint())),
        MathFunction::Max => match (a, second()) {
            (Value::Uint(a), Value::Uint(b)) => Value::Uint(*a.max(b)),
            // Which of two is larger may be in doubt, but not by more than their errors.
            (a, b) => a.zip(b, N::larger),
        },
        MathFunction::Abs => a.map(N::magnitude),
        MathFunction::Sign => a.map(N::sign),
        MathFunction::Sqrt => a.map(|x| x.root(rounding)),
        MathFunction::Fma => {
            let product = a.zip(second(), |a, b| a.multiply(b, rounding));
            product.zip(c.expect("a third argument"), |p, c| p.add(c, rounding))
        }
        MathFunction::Length => {
            let square = a.zip(a, |x, y| x.multiply(y, rounding));
            let Value::Vector(squares) = &square else { panic!("length of a vector") };
            let [x, y] = &squares[..] else { panic!("length of a pair") };
            Value::Real(x.add(y, rounding).root(rounding))
        }
        _ => panic!("{fun:?} is not known"),
    }
}
