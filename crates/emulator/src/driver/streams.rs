//! The functions of streams.

use std::sync::Arc;

use super::captures;
use super::context::Context;
use super::error::{Code, Outcome};
use super::handle::Handle;
use super::pointer::{Buffer, Out};
use super::stream::{GREATEST_PRIORITY, NON_BLOCKING, STREAMS, Stream};
use super::work::{Call, HostFunction, StreamCallback, Work};

fn create(out: Out<Handle>, flags: u32, priority: i32) -> Outcome {
    let place = out.place()?;
    if flags & !NON_BLOCKING != 0 {
        return Err(Code::INVALID_VALUE.into());
    }
    let context = Context::usable()?;
    place.put(STREAMS.add(Arc::new(Stream::new(&context, flags, priority.clamp(GREATEST_PRIORITY, 0)))));
    Ok(())
}

super::boundary::exported! {
    fn cuStreamCreate(out: Out<Handle>, flags: u32) {
        create(out, flags, 0)
    }

    fn cuStreamCreateWithPriority(out: Out<Handle>, flags: u32, priority: i32) {
        create(out, flags, priority)
    }

    fn cuStreamDestroy_v2(handle: Handle) {
        Context::current()?;
        let stream = STREAMS.remove(handle)?;
        captures::leave(&stream);
        Ok(())
    }

    fn cuStreamSynchronize(handle: Handle) {
        Stream::of(handle)?.synchronise()
    }

    fn cuStreamQuery(handle: Handle) {
        let stream = Stream::of(handle)?;
        stream.forbid_while_capturing()?;
        if stream.is_idle() { Ok(()) } else { Err(Code::NOT_READY.into()) }
    }

    fn cuStreamGetFlags(handle: Handle, flags: Out<u32>) {
        let place = flags.place()?;
        place.put(Stream::of(handle)?.flags);
        Ok(())
    }

    fn cuStreamGetPriority(handle: Handle, priority: Out<i32>) {
        let place = priority.place()?;
        place.put(Stream::of(handle)?.priority);
        Ok(())
    }

    fn cuStreamGetId(handle: Handle, id: Out<u64>) {
        let place = id.place()?;
        place.put(Stream::of(handle)?.id);
        Ok(())
    }

    fn cuStreamGetCtx(handle: Handle, context: Out<Handle>) {
        let place = context.place()?;
        place.put(Stream::of(handle)?.context_handle);
        Ok(())
    }

    fn cuStreamGetDevice(handle: Handle, device: Out<i32>) {
        let place = device.place()?;
        Stream::of(handle)?;
        place.put(0);
        Ok(())
    }

    fn cuStreamCopyAttributes(to: Handle, from: Handle) {
        Stream::of(to)?;
        Stream::of(from).map(|_| ())
    }

    fn cuLaunchHostFunc(handle: Handle, function: HostFunction, data: Buffer) {
        let stream = Stream::of(handle)?;
        stream.submit(Work::Call(Call::host(function, data)?))
    }

    fn cuStreamAddCallback(handle: Handle, callback: StreamCallback, data: Buffer, flags: u32) {
        if flags != 0 {
            return Err(Code::INVALID_VALUE.into());
        }
        let stream = Stream::of(handle)?;
        let call = Call::callback(handle, callback, data)?;
        stream.forbid_while_capturing()?;
        stream.submit(Work::Call(call))
    }
}
