//! Contracts of the autodiff layer: plans, pullbacks, precisions, descent.

mod descent;
mod toys;

use skyscat_autodiff::{
    Affine, Channels, Graph, GraphError, Join, Node, Operator, Pieces, Program, Purpose, Shape,
    Stack, check,
};
use skyscat_num::{Par, Seed};
use std::sync::Arc;
use toys::{Bowl, Product, Scale, Square};

const ROWS: usize = 12;
const MAPS: usize = 3;

fn par() -> Par {
    Par::new(2).unwrap()
}

fn random(purpose: &str, len: usize) -> Vec<f64> {
    Seed(11).stream(purpose).index(0, 0).normals(len)
}

/// Near 1, so that a long chain stays of order 1.
fn mild(purpose: &str, len: usize) -> Vec<f64> {
    random(purpose, len).iter().map(|x| 0.9 + 0.05 * x.tanh()).collect()
}

/// A chain of affine maps and squares; every node in order.
fn chain(graph: &mut Graph, length: usize) -> Vec<Node> {
    let mut nodes = vec![graph.input(Shape::real(ROWS, 1))];
    for i in 0..length {
        let (scale, shift) = (mild(&format!("scale{i}"), ROWS), random("shift", ROWS));
        let shift = shift.iter().map(|x| 0.1 * x).collect();
        let last = nodes[nodes.len() - 1];
        nodes.push(graph.apply(Affine::new(scale, shift), &[last]).unwrap());
        let last = nodes[nodes.len() - 1];
        nodes.push(graph.apply(Square::RIGHT, &[last]).unwrap());
    }
    nodes
}

fn bowl() -> Bowl {
    Bowl { name: "bowl", target: 0.3, growth: 0.1 }
}

/// A program of the chain; `keep` names every node, so that nothing can be shared.
fn chain_program(length: usize, purpose: Purpose, keep: bool) -> Program<f64> {
    let mut graph = Graph::new();
    let nodes = chain(&mut graph, length);
    graph.output("early", nodes[1]);
    graph.output("last", nodes[nodes.len() - 1]);
    if keep {
        nodes.iter().enumerate().for_each(|(i, &n)| graph.output(format!("node{i}"), n));
    }
    graph.term(bowl(), &[nodes[nodes.len() - 1]], 1.0);
    Program::compile(Arc::new(graph), MAPS, purpose, &par()).unwrap()
}

#[test]
fn buffers_are_shared_and_values_do_not_change() {
    let x = random("x", ROWS * MAPS);
    let mut shared = chain_program(6, Purpose::Values, false);
    let mut kept = chain_program(6, Purpose::Values, true);
    let (plan, whole) = (shared.memory(), kept.memory());
    assert!(plan.field_bytes < plan.unshared_bytes, "{plan:?}");
    assert_eq!(whole.field_bytes, whole.unshared_bytes, "{whole:?}");
    // An early output that lives on, a value and its successor.
    assert_eq!(plan.buffers, 3, "{plan:?}");
    assert_eq!(whole.buffers, 13, "{whole:?}");
    shared.evaluate(&x);
    kept.evaluate(&x);
    for label in ["early", "last"] {
        assert_eq!(shared.output(label), kept.output(label), "{label}");
    }
}

#[test]
fn gradients_do_not_depend_on_the_plan_and_outputs_survive() {
    let x = random("x", ROWS * MAPS);
    let mut shared = chain_program(6, Purpose::Gradient, false);
    let mut kept = chain_program(6, Purpose::Gradient, true);
    assert!(shared.memory().field_bytes < kept.memory().field_bytes);
    let (mut a, mut b) = (vec![f64::NAN; x.len()], vec![f64::NAN; x.len()]);
    // Twice: the second run finds the buffers as the first one left them.
    for _ in 0..2 {
        let values = (shared.value_and_gradient(&x, &mut a), kept.value_and_gradient(&x, &mut b));
        assert_eq!(values.0.to_bits(), values.1.to_bits());
        assert_eq!(a, b);
    }
    let mut forward = chain_program(6, Purpose::Values, true);
    forward.evaluate(&x);
    for label in ["early", "last"] {
        assert_eq!(shared.output(label), forward.output(label), "{label}");
    }
    for i in 0..13 {
        let label = format!("node{i}");
        assert_eq!(kept.output(&label), forward.output(&label), "{label}");
    }
    assert_eq!(shared.output("absent"), None);
}

/// A node used twice by one operator, by another, and by two terms.
fn tangled() -> Graph {
    let mut graph = Graph::new();
    let x = graph.input(Shape::real(ROWS, 1));
    let y = graph.input(Shape::real(ROWS, 1));
    let a = graph.apply(Affine::new(mild("a", ROWS), vec![0.2; ROWS]), &[x]).unwrap();
    let square = graph.apply(Product, &[a, a]).unwrap();
    let mixed = graph.apply(Product, &[a, y]).unwrap();
    let stacked = graph.apply(Stack::new((0..ROWS as u32).rev().collect()), &[square, a]).unwrap();
    graph.term(bowl(), &[stacked], 0.7);
    graph.term(Bowl { name: "second", target: -0.4, growth: 0.0 }, &[a], 1.3);
    graph.term(bowl(), &[mixed], 0.5);
    graph
}

#[test]
fn gradients_add_up_where_a_node_is_used_several_times() {
    let graph = Arc::new(tangled());
    let mut program = Program::compile(graph, MAPS, Purpose::Gradient, &par()).unwrap();
    let x = random("x", program.variables());
    let found = check::gradient(&mut program, &x, 1e-3);
    assert!(found.relative() < 1e-10, "{found:?}");
    // By hand, without the graph.
    let (scale, n) = (mild("a", ROWS), ROWS * MAPS);
    let mut expected = vec![0.0; 2 * n];
    let mut value = 0.0;
    for i in 0..n {
        let (row, y) = (i / MAPS, x[n + i]);
        let a = scale[row] * x[i] + 0.2;
        // Row r of the stack is row ROWS − 1 − r of its inputs; the rows of its
        // statistic are (row, channel).
        let place = 2 * (ROWS - 1 - row);
        let stiff = |place: usize| 1.0 + 0.1 * place as f64;
        let (s, t) = (stiff(place), stiff(place + 1));
        let m = stiff(row);
        value += 0.35 * (s * (a * a - 0.3).powi(2) + t * (a - 0.3).powi(2));
        value += 0.65 * (a + 0.4).powi(2) + 0.25 * m * (a * y - 0.3).powi(2);
        let towards_a = 0.7 * (s * (a * a - 0.3) * 2.0 * a + t * (a - 0.3))
            + 1.3 * (a + 0.4)
            + 0.5 * m * (a * y - 0.3) * y;
        expected[i] = scale[row] * towards_a;
        expected[n + i] = 0.5 * m * (a * y - 0.3) * a;
    }
    let mut gradient = vec![0.0; x.len()];
    let total = program.value_and_gradient(&x, &mut gradient);
    assert!((total - value).abs() < 1e-12 * value, "{total} {value}");
    let peak = expected.iter().fold(0.0f64, |m, g| m.max(g.abs()));
    for (g, e) in gradient.iter().zip(&expected) {
        assert!((g - e).abs() < 1e-13 * peak, "{g} {e}");
    }
    let terms: Vec<(&str, f64)> =
        program.terms().iter().map(|t| (t.name.as_str(), t.value)).collect();
    assert_eq!(terms.iter().map(|t| t.0).collect::<Vec<_>>(), ["bowl", "second", "bowl"]);
    assert!((terms.iter().map(|t| t.1).sum::<f64>() - total).abs() < 1e-13 * total);
}

#[test]
fn pieces_of_a_batch_have_the_bits_of_the_whole_in_less_memory() {
    let graph = Arc::new(tangled());
    let program = |few| {
        let pieces = Pieces::whole(MAPS).at_once(few);
        Program::<f64>::compile_pieces(graph.clone(), pieces, Purpose::Gradient, &par()).unwrap()
    };
    let mut whole = Program::compile(graph.clone(), MAPS, Purpose::Gradient, &par()).unwrap();
    let x = random("x", whole.variables());
    let mut expected = vec![0.0; x.len()];
    let value = whole.value_and_gradient(&x, &mut expected);
    // Of two pieces, the first is repeated.
    let first = MAPS.div_ceil(2) as f64 / MAPS as f64;
    let forward = (program(MAPS.div_ceil(2)).floor().flops - whole.floor().flops) / first;
    assert!(forward > 0.0 && forward < whole.floor().flops, "{forward}");
    for few in 1..=MAPS {
        let mut program = program(few);
        let mut gradient = vec![f64::NAN; x.len()];
        assert_eq!(program.value_and_gradient(&x, &mut gradient).to_bits(), value.to_bits());
        assert_eq!(gradient, expected, "{few} at once");
        // All pieces but the last run forward twice.
        let repeated = MAPS - if MAPS.is_multiple_of(few) { few } else { MAPS % few };
        let more = forward * repeated as f64 / MAPS as f64;
        assert!((program.floor().flops - whole.floor().flops - more).abs() < 1e-6, "{few}");
    }
    let bytes = |few| program(few).memory().field_bytes;
    assert_eq!(bytes(MAPS), whole.memory().field_bytes);
    assert!(bytes(1) < bytes(MAPS), "{} {}", bytes(1), bytes(MAPS));
}

#[test]
fn an_input_that_no_term_sees_has_no_gradient() {
    let mut graph = Graph::new();
    let x = graph.input(Shape::real(4, 1));
    let _unused = graph.input(Shape::complex(2, 1));
    graph.term(bowl(), &[x], 1.0);
    let mut program =
        Program::<f64>::compile(Arc::new(graph), MAPS, Purpose::Gradient, &par()).unwrap();
    let mut gradient = vec![f64::NAN; program.variables()];
    program.value_and_gradient(&random("x", 24), &mut gradient);
    assert!(gradient[..12].iter().all(|g| g.is_finite() && *g != 0.0));
    assert!(gradient[12..].iter().all(|g| *g == 0.0));
}

#[test]
fn chosen_channels_are_those_asked_for_and_have_an_exact_adjoint() {
    for shape in [Shape::complex(ROWS, 5), Shape::real(ROWS, 5)] {
        for maps in [1, 3, 10] {
            let found = check::adjoint(Arc::new(Channels::new(1..4)), &[shape], maps).unwrap();
            assert!(found.relative() <= 1e-13, "{shape:?} × {maps}: {found:?}");
        }
        let mut graph = Graph::new();
        let x = graph.input(shape);
        let (y, other) = (Channels::new(1..4), Channels::new(0..3));
        let y = graph.apply(y, &[x]).unwrap();
        graph.output("chosen", y);
        let other = graph.apply(other, &[x]).unwrap();
        graph.output("other", other);
        assert!(graph.apply(Channels::new(3..6), &[x]).is_err());
        assert!(graph.apply(Channels::new(2..2), &[x]).is_err());
        let mut program =
            Program::<f64>::compile(Arc::new(graph), 1, Purpose::Values, &par()).unwrap();
        let x: Vec<f64> = (0..shape.reals()).map(|i| i as f64).collect();
        program.evaluate(&x);
        let part = shape.width() / 5;
        let rows = x.chunks_exact(shape.width());
        let expected: Vec<f64> = rows.flat_map(|row| row[part..4 * part].to_vec()).collect();
        assert_eq!(program.output("chosen").unwrap().1, expected);
        assert_ne!(program.output("other").unwrap().1, expected, "must fail");
    }
}

#[test]
fn joined_fields_stand_side_by_side() {
    let mut graph = Graph::new();
    let a = graph.input(Shape::complex(2, 3));
    let b = graph.input(Shape::complex(2, 1));
    let joined = graph.apply(Join::new(vec![2, 1]), &[a, b]).unwrap();
    assert_eq!(graph.shape(joined), Shape::complex(2, 3));
    graph.output("joined", joined);
    let other = graph.input(Shape::real(2, 1));
    for (channels, inputs) in [(vec![4, 1], [a, b]), (vec![0, 1], [a, b]), (vec![1, 1], [a, other])]
    {
        assert!(graph.apply(Join::new(channels), &inputs).is_err());
    }
    assert!(graph.apply(Join::new(vec![1]), &[a, b]).is_err());
    assert!(graph.apply(Join::new(vec![1, 1]), &[a, a]).is_err());
    let mut program = Program::<f64>::compile(Arc::new(graph), 1, Purpose::Values, &par()).unwrap();
    let x: Vec<f64> = (0..program.variables()).map(|i| i as f64).collect();
    program.evaluate(&x);
    let expected = [0.0, 1.0, 2.0, 3.0, 12.0, 13.0, 6.0, 7.0, 8.0, 9.0, 14.0, 15.0];
    assert_eq!(program.output("joined").unwrap().1, expected);
}

#[test]
fn channels_read_where_they_stand_give_the_bits_of_those_that_are_copied() {
    let evaluate = |copied: bool, first: usize| {
        let mut graph = Graph::new();
        let x = graph.input(Shape::complex(ROWS, 5));
        let y = graph.apply(Join::new(vec![5]), &[x]).unwrap();
        let some = graph.apply(Channels::new(first..4), &[y]).unwrap();
        let one = graph.apply(Channels::new(1..2), &[some]).unwrap();
        if copied {
            graph.output("some", some);
            graph.output("one", one);
        }
        graph.term(bowl(), &[some], 0.7);
        graph.term(bowl(), &[one], 0.5);
        let mut program =
            Program::<f64>::compile(Arc::new(graph), MAPS, Purpose::Gradient, &par()).unwrap();
        let x = random("x", program.variables());
        let mut gradient = vec![f64::NAN; x.len()];
        let value = program.value_and_gradient(&x, &mut gradient);
        let calls = program.profile(&x).iter().filter(|t| t.operator == "channels").count();
        assert_eq!(calls, if copied { 2 } else { 0 }, "forward and back");
        (value, gradient)
    };
    let found = evaluate(false, 1);
    assert_eq!(found, evaluate(true, 1));
    assert_ne!(found, evaluate(false, 2), "must fail");
}

#[test]
fn linear_operators_have_exact_adjoints() {
    let mut order: Vec<u32> = (0..ROWS as u32).collect();
    order.swap(0, 7);
    order.rotate_left(3);
    let affine = |shape: Shape| -> (Arc<dyn Operator>, Vec<Shape>) {
        let scale = random("scale", shape.reals());
        (Arc::new(Affine::new(scale, vec![0.0; shape.reals()])), vec![shape])
    };
    let column = Shape::real(ROWS, 1);
    let cases = [
        affine(Shape::real(ROWS, 2)),
        affine(Shape::complex(ROWS, 3)),
        (Arc::new(Stack::new(order.clone())) as Arc<dyn Operator>, vec![column]),
        (Arc::new(Stack::new(order)), vec![column; 3]),
        (Arc::new(Join::new(vec![1, 3])), vec![Shape::real(ROWS, 2), Shape::real(ROWS, 3)]),
        (Arc::new(Join::new(vec![2, 1])), vec![Shape::complex(ROWS, 4); 2]),
    ];
    for (operator, shapes) in cases {
        for maps in [1, 3, 17] {
            let found = check::adjoint(operator.clone(), &shapes, maps).unwrap();
            assert!(found.relative() <= 1e-13, "{} {maps}: {found:?}", operator.name());
        }
    }
    // With a shift the operator is not linear, and its pullback still right.
    let shifted = Arc::new(Affine::new(random("scale", ROWS), random("shift", ROWS)));
    let found = check::pullback(shifted, &[column], MAPS).unwrap();
    assert!(found.relative() < 1e-10, "{found:?}");
}

#[test]
fn a_wrong_pullback_is_caught() {
    let scale = mild("scale", ROWS);
    let shapes = [Shape::real(ROWS, 1)];
    let with = |back: Vec<f64>| Arc::new(Scale { scale: scale.clone(), back });
    let right = check::adjoint(with(scale.clone()), &shapes, MAPS).unwrap();
    assert!(right.relative() <= 1e-13, "{right:?}");
    // One weight of twelve, off by 1e-4.
    let mut back = scale.clone();
    back[5] += 1e-4;
    let wrong = check::adjoint(with(back.clone()), &shapes, MAPS).unwrap();
    assert!(wrong.relative() > 1e-7, "{wrong:?}");
    let wrong = check::pullback(with(back), &shapes, MAPS).unwrap();
    assert!(wrong.relative() > 1e-7, "{wrong:?}");
    let right = check::pullback(Arc::new(Square::RIGHT), &shapes, MAPS).unwrap();
    assert!(right.relative() < 1e-10, "{right:?}");
    let wrong = check::pullback(Arc::new(Square { slope: 2.0002 }), &shapes, MAPS).unwrap();
    assert!(wrong.relative() > 1e-6, "{wrong:?}");
}

/// Gradient of the tangled graph in f32, and the largest error against f64 in
/// units of k·ε·max|g|, where k counts the roundings on the longest path.
fn single_precision_error(nudge: f64) -> f64 {
    let graph = Arc::new(tangled());
    let mut double =
        Program::<f64>::compile(graph.clone(), MAPS, Purpose::Gradient, &par()).unwrap();
    let mut single = Program::<f32>::compile(graph, MAPS, Purpose::Gradient, &par()).unwrap();
    let mut x = random("x", double.variables());
    let narrow: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    let mut low = vec![0.0f32; x.len()];
    single.value_and_gradient(&narrow, &mut low);
    x.iter_mut().zip(&narrow).for_each(|(x, &n)| *x = f64::from(n));
    x[3] *= 1.0 + nudge;
    let mut high = vec![0.0; x.len()];
    double.value_and_gradient(&x, &mut high);
    let peak = high.iter().fold(0.0f64, |m, g| m.max(g.abs()));
    // Affine 2, product 1, term read 1, term gradient 1, two pullbacks of the
    // product with their additions 4, stack 1, affine back 2.
    let bound = 12.0 * f64::from(f32::EPSILON) * peak;
    high.iter().zip(&low).fold(0.0f64, |m, (h, &l)| m.max((h - f64::from(l)).abs())) / bound
}

#[test]
fn single_precision_mirrors_double_precision() {
    let error = single_precision_error(0.0);
    assert!(error < 1.0, "{error} of the bound");
    let error = single_precision_error(1e-4);
    assert!(error > 1.0, "a variable off by 1e-4 was not seen: {error} of the bound");
}

#[test]
fn results_have_the_same_bits_for_any_number_of_threads() {
    let run = |threads| {
        let par = Par::new(threads).unwrap();
        let mut program =
            Program::<f64>::compile(Arc::new(tangled()), MAPS, Purpose::Gradient, &par).unwrap();
        let x = random("x", program.variables());
        let mut gradient = vec![0.0; x.len()];
        (program.value_and_gradient(&x, &mut gradient).to_bits(), gradient)
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn the_floor_counts_each_value_and_table_once() {
    let mut graph = Graph::new();
    let x = graph.input(Shape::real(ROWS, 1));
    let y = graph.apply(Affine::new(vec![2.0; ROWS], vec![1.0; ROWS]), &[x]).unwrap();
    let z = graph.apply(Square::RIGHT, &[y]).unwrap();
    graph.output("z", z);
    graph.term(bowl(), &[z], 1.0);
    let graph = Arc::new(graph);
    let (rows, maps) = (ROWS as f64, MAPS as f64);
    let values = Program::<f64>::compile(graph.clone(), MAPS, Purpose::Values, &par()).unwrap();
    let floor = values.floor();
    assert_eq!(floor.flops, (2.0 + 1.0) * rows * maps);
    // Two values each operator, and the table of two numbers a row.
    assert_eq!(floor.bytes, 8.0 * (4.0 * rows * maps) + 16.0 * rows);
    let full = Program::<f64>::compile(graph.clone(), MAPS, Purpose::Gradient, &par()).unwrap();
    let floor = full.floor();
    assert_eq!(floor.flops, 2.0 * (2.0 + 1.0) * rows * maps);
    // Back: two gradients each; the square reads its input too.
    assert_eq!(floor.bytes, 8.0 * ((4.0 + 5.0) * rows * maps) + 2.0 * 16.0 * rows);
    let single = Program::<f32>::compile(graph, MAPS, Purpose::Gradient, &par()).unwrap();
    assert_eq!(single.floor().bytes, floor.bytes / 2.0);
    assert_eq!(single.floor().flops, floor.flops);
}

#[test]
fn graphs_that_do_not_hold_together_are_refused() {
    let mut graph = Graph::new();
    let x = graph.input(Shape::real(ROWS, 1));
    let z = graph.input(Shape::complex(ROWS, 1));
    let refused = |result: Result<Node, GraphError>, name: &str, allowed_has: &str| match result {
        Err(GraphError::Shape { operator, allowed, .. }) => {
            assert_eq!(operator, name);
            assert!(allowed.contains(allowed_has), "{allowed}");
        }
        other => panic!("{name} accepted: {other:?}"),
    };
    let short = Affine::new(vec![1.0; 5], vec![0.0; 5]);
    refused(graph.apply(short, &[x]), "affine", "5 reals");
    let stack = || Stack::new((0..ROWS as u32).collect());
    refused(graph.apply(stack(), &[z]), "stack", "12 rows");
    refused(graph.apply(stack(), &[]), "stack", "12 rows");
    refused(graph.apply(Product, &[x, z]), "toy-product", "one shape");
    let compile = |graph: Graph, maps, purpose| {
        Program::<f64>::compile(Arc::new(graph), maps, purpose, &par()).err()
    };
    assert_eq!(compile(tangled(), 0, Purpose::Gradient), Some(GraphError::EmptyBatch));
    assert_eq!(compile(Graph::new(), 0, Purpose::Values), Some(GraphError::EmptyBatch));
    let mut without_term = Graph::new();
    without_term.input(Shape::real(ROWS, 1));
    assert_eq!(compile(without_term, 1, Purpose::Gradient), Some(GraphError::NoTerm));
    let wide = graph.apply(stack(), &[x; 65]).unwrap();
    graph.output("wide", wide);
    match compile(graph, 1, Purpose::Values) {
        Some(GraphError::Shape { operator, given, .. }) => {
            assert_eq!((operator, given.len()), ("stack", 65));
        }
        other => panic!("{other:?}"),
    }
}
