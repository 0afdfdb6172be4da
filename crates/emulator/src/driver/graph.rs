//! Graphs: captured work, and its replay.

use std::sync::Arc;

use super::context::Context;
use super::error::{Code, Outcome};
use super::handle::{Handle, Table};
use super::pointer::{Buffer, Out};
use super::stream::Stream;
use super::work::{Executable, Node, Work};

static GRAPHS: Table<Graph> = Table::new(Code::INVALID_HANDLE);
static EXECUTABLES: Table<Executable> = Table::new(Code::INVALID_HANDLE);

/// `CUDA_GRAPH_INSTANTIATE_FLAG_...`
const AUTO_FREE_ON_LAUNCH: u64 = 1;
const UPLOAD: u64 = 2;
const DEVICE_LAUNCH: u64 = 4;
const USE_NODE_PRIORITY: u64 = 8;

/// `CUDA_GRAPH_INSTANTIATE_PARAMS`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct InstantiateParams {
    flags: u64,
    upload_stream: Handle,
    error_node: Handle,
    result: i32,
}

struct Graph {
    handle: Handle,
    context: Handle,
    nodes: Vec<Node>,
}

/// Puts a captured graph in the table.
pub fn add(handle: Handle, context: Handle, nodes: Vec<Node>) {
    GRAPHS.insert(handle, Arc::new(Graph { handle, context, nodes }));
}

pub fn remove_of(context: Handle) {
    GRAPHS.remove_all(|graph| graph.context == context);
    EXECUTABLES.remove_all(|executable| executable.context == context);
}

fn find(handle: Handle) -> Outcome<Arc<Graph>> {
    Context::usable()?;
    GRAPHS.get(handle)
}

fn find_executable(handle: Handle) -> Outcome<Arc<Executable>> {
    Context::usable()?;
    EXECUTABLES.get(handle)
}

/// The graph of a node, and the node's index.
fn find_node(node: Handle) -> Outcome<(Arc<Graph>, usize)> {
    let (graph, index) = node.whole().ok_or(Code::INVALID_HANDLE)?;
    let graph = find(graph)?;
    if index < graph.nodes.len() { Ok((graph, index)) } else { Err(Code::INVALID_HANDLE.into()) }
}

fn instantiate(out: Out<Handle>, graph: Handle, flags: u64) -> Outcome {
    let place = out.place()?;
    let graph = find(graph)?;
    let unknown = !(AUTO_FREE_ON_LAUNCH | UPLOAD | DEVICE_LAUNCH | USE_NODE_PRIORITY);
    let contradicts = flags & AUTO_FREE_ON_LAUNCH != 0 && flags & DEVICE_LAUNCH != 0;
    if flags & unknown != 0 || contradicts {
        return Err(Code::INVALID_VALUE.into());
    }
    if flags & DEVICE_LAUNCH != 0 {
        return Err(Code::NOT_SUPPORTED.because("graphs that kernels launch"));
    }
    let work = graph.nodes.iter().map(|node| node.work.clone()).collect();
    place.put(EXECUTABLES.add(Arc::new(Executable::new(graph.context, flags, work))));
    Ok(())
}

/// Fills an array of nodes, or says how many there are if the caller has none.
fn list(nodes: Out<Handle>, count: Out<usize>, found: Vec<Handle>) -> Outcome {
    if nodes.is_null() {
        count.place()?.put(found.len());
        return Ok(());
    }
    let room = count.get()?;
    nodes.put_all((0..room).map(|i| found.get(i).copied().unwrap_or(Handle::NULL)))?;
    count.place()?.put(found.len().min(room));
    Ok(())
}

/// The handles of the nodes of which something holds.
fn nodes_where(graph: &Graph, holds: impl Fn(usize, &Node) -> bool) -> Vec<Handle> {
    let chosen = graph.nodes.iter().enumerate().filter(|(i, node)| holds(*i, node));
    chosen.filter_map(|(i, _)| graph.handle.part(i)).collect()
}

super::boundary::exported! {
    fn cuGraphCreate(out: Out<Handle>, flags: u32) {
        let place = out.place()?;
        if flags != 0 {
            return Err(Code::INVALID_VALUE.into());
        }
        let context = Context::usable()?.handle;
        let handle = Handle::fresh();
        add(handle, context, Vec::new());
        place.put(handle);
        Ok(())
    }

    fn cuGraphClone(out: Out<Handle>, graph: Handle) {
        let place = out.place()?;
        let graph = find(graph)?;
        let handle = Handle::fresh();
        add(handle, graph.context, graph.nodes.clone());
        place.put(handle);
        Ok(())
    }

    fn cuGraphDestroy(graph: Handle) {
        Context::current()?;
        GRAPHS.remove(graph).map(|_| ())
    }

    fn cuGraphGetNodes(graph: Handle, nodes: Out<Handle>, count: Out<usize>) {
        let graph = find(graph)?;
        list(nodes, count, nodes_where(&graph, |_, _| true))
    }

    fn cuGraphGetRootNodes(graph: Handle, nodes: Out<Handle>, count: Out<usize>) {
        let graph = find(graph)?;
        list(nodes, count, nodes_where(&graph, |_, node| node.after.is_empty()))
    }

    fn cuGraphGetEdges(graph: Handle, from: Out<Handle>, to: Out<Handle>, count: Out<usize>) {
        let graph = find(graph)?;
        let edges = graph.nodes.iter().enumerate().flat_map(|(i, node)| node.after.iter().map(move |&a| (a, i)));
        let handles = edges.filter_map(|(a, b)| graph.handle.part(a).zip(graph.handle.part(b)));
        let (sources, targets): (Vec<_>, Vec<_>) = handles.unzip();
        let room = if from.is_null() || to.is_null() { None } else { Some(count.get()?) };
        list(from, count, sources)?;
        if let Some(room) = room {
            count.place()?.put(room);
            list(to, count, targets)?;
        }
        Ok(())
    }

    fn cuGraphNodeGetType(node: Handle, kind: Out<i32>) {
        let place = kind.place()?;
        let (graph, index) = find_node(node)?;
        place.put(graph.nodes[index].work.node_type());
        Ok(())
    }

    fn cuGraphNodeGetDependencies(node: Handle, nodes: Out<Handle>, count: Out<usize>) {
        let (graph, index) = find_node(node)?;
        list(nodes, count, nodes_where(&graph, |i, _| graph.nodes[index].after.contains(&i)))
    }

    fn cuGraphNodeGetDependentNodes(node: Handle, nodes: Out<Handle>, count: Out<usize>) {
        let (graph, index) = find_node(node)?;
        list(nodes, count, nodes_where(&graph, |_, node| node.after.contains(&index)))
    }

    fn cuGraphInstantiateWithFlags(out: Out<Handle>, graph: Handle, flags: u64) {
        instantiate(out, graph, flags)
    }

    fn cuGraphInstantiate_v2(out: Out<Handle>, graph: Handle, error_node: Out<Handle>, log: Buffer, room: usize) {
        error_node.put_if_wanted(Handle::NULL);
        log.put_text("", room);
        instantiate(out, graph, 0)
    }

    fn cuGraphInstantiateWithParams(out: Out<Handle>, graph: Handle, params: Out<InstantiateParams>) {
        let given = params.get()?;
        let outcome = instantiate(out, graph, given.flags);
        // `CUDA_GRAPH_INSTANTIATE_SUCCESS` or `.._ERROR`.
        let result = i32::from(outcome.is_err());
        params.place()?.put(InstantiateParams { error_node: Handle::NULL, result, ..given });
        outcome
    }

    fn cuGraphExecGetFlags(executable: Handle, flags: Out<u64>) {
        let place = flags.place()?;
        place.put(find_executable(executable)?.flags);
        Ok(())
    }

    fn cuGraphExecDestroy(executable: Handle) {
        Context::current()?;
        EXECUTABLES.remove(executable).map(|_| ())
    }

    fn cuGraphUpload(executable: Handle, stream: Handle) {
        find_executable(executable)?;
        Stream::of(stream).map(|_| ())
    }

    fn cuGraphLaunch(executable: Handle, stream: Handle) {
        let executable = find_executable(executable)?;
        let stream = Stream::of(stream)?;
        stream.forbid_while_capturing()?;
        stream.submit(Work::Replay(executable))
    }
}
