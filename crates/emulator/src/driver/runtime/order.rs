//! Streams and events.

use super::super::events::{
    cuEventCreate, cuEventDestroy_v2, cuEventElapsedTime, cuEventQuery, cuEventRecord, cuEventRecordWithFlags,
    cuEventSynchronize, cuStreamWaitEvent,
};
use super::super::handle::Handle;
use super::super::pointer::{Buffer, Out};
use super::super::streams::{
    cuLaunchHostFunc, cuStreamAddCallback, cuStreamCreate, cuStreamCreateWithPriority, cuStreamDestroy_v2,
    cuStreamQuery, cuStreamSynchronize,
};
use super::super::work::{HostFunction, StreamCallback};
use super::done;

super::exported! {
    fn cudaStreamCreate(out: Out<Handle>) {
        done(cuStreamCreate(out, 0))
    }

    fn cudaStreamCreateWithFlags(out: Out<Handle>, flags: u32) {
        done(cuStreamCreate(out, flags))
    }

    fn cudaStreamCreateWithPriority(out: Out<Handle>, flags: u32, priority: i32) {
        done(cuStreamCreateWithPriority(out, flags, priority))
    }

    fn cudaStreamDestroy(stream: Handle) {
        done(cuStreamDestroy_v2(stream))
    }

    fn cudaStreamSynchronize(stream: Handle) {
        done(cuStreamSynchronize(stream))
    }

    fn cudaStreamQuery(stream: Handle) {
        done(cuStreamQuery(stream))
    }

    fn cudaStreamWaitEvent(stream: Handle, event: Handle, flags: u32) {
        done(cuStreamWaitEvent(stream, event, flags))
    }

    fn cudaStreamAddCallback(stream: Handle, callback: StreamCallback, data: Buffer, flags: u32) {
        done(cuStreamAddCallback(stream, callback, data, flags))
    }

    fn cudaLaunchHostFunc(stream: Handle, function: HostFunction, data: Buffer) {
        done(cuLaunchHostFunc(stream, function, data))
    }

    fn cudaEventCreate(out: Out<Handle>) {
        done(cuEventCreate(out, 0))
    }

    fn cudaEventCreateWithFlags(out: Out<Handle>, flags: u32) {
        done(cuEventCreate(out, flags))
    }

    fn cudaEventRecord(event: Handle, stream: Handle) {
        done(cuEventRecord(event, stream))
    }

    fn cudaEventRecordWithFlags(event: Handle, stream: Handle, flags: u32) {
        done(cuEventRecordWithFlags(event, stream, flags))
    }

    fn cudaEventSynchronize(event: Handle) {
        done(cuEventSynchronize(event))
    }

    fn cudaEventQuery(event: Handle) {
        done(cuEventQuery(event))
    }

    fn cudaEventElapsedTime(out: Out<f32>, start: Handle, end: Handle) {
        done(cuEventElapsedTime(out, start, end))
    }

    fn cudaEventDestroy(event: Handle) {
        done(cuEventDestroy_v2(event))
    }
}
