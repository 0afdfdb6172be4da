//! Parses a PTX file, or a small kernel if none is named, and prints its functions and instructions.
//!
//! `cargo run -p yuragi-emulator --example print_kernel -- kernel.ptx`

use std::process::ExitCode;

use yuragi_emulator::ptx::Module;

const SAXPY: &str = "
.version 9.0
.target sm_80
.address_size 64

.visible .entry saxpy(.param .f32 a, .param .u64 x, .param .u64 y, .param .u32 n)
{
    .reg .pred %p<2>;
    .reg .f32 %f<5>;
    .reg .b32 %r<6>;
    .reg .b64 %rd<8>;
    ld.param.u32 %r1, [n];
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mov.u32 %r4, %tid.x;
    mad.lo.s32 %r5, %r2, %r3, %r4;
    setp.ge.s32 %p1, %r5, %r1;
    @%p1 bra $done;
    ld.param.f32 %f1, [a];
    ld.param.u64 %rd1, [x];
    ld.param.u64 %rd2, [y];
    cvta.to.global.u64 %rd3, %rd1;
    cvta.to.global.u64 %rd4, %rd2;
    mul.wide.s32 %rd5, %r5, 4;
    add.s64 %rd6, %rd3, %rd5;
    add.s64 %rd7, %rd4, %rd5;
    ld.global.f32 %f2, [%rd6];
    ld.global.f32 %f3, [%rd7];
    fma.rn.f32 %f4, %f1, %f2, %f3;
    st.global.f32 [%rd7], %f4;
$done:
    ret;
}
";

fn main() -> ExitCode {
    let text = match std::env::args_os().nth(1).map(std::fs::read_to_string) {
        None => SAXPY.to_string(),
        Some(Ok(text)) => text,
        Some(Err(error)) => {
            eprintln!("cannot read the file: {error}");
            return ExitCode::FAILURE;
        }
    };
    match text.parse::<Module>() {
        Ok(module) => {
            print(&module);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn print(module: &Module) {
    for variable in &module.variables {
        println!(".{} .{} {}: {} elements", variable.space, variable.of, variable.name, variable.count);
    }
    for function in module.functions.iter().filter(|function| !function.declared_only) {
        let kind = if function.entry { "kernel" } else { "function" };
        println!("{kind} {}, {} registers, line {}", function.name, function.registers.len(), function.line);
        let mut labels = function.labels.iter().peekable();
        for (i, instruction) in function.body.iter().enumerate() {
            while let Some((label, _)) = labels.next_if(|(_, at)| *at <= i) {
                println!("{label}:");
            }
            println!("{:5}  {instruction}", instruction.line);
        }
        labels.for_each(|(label, _)| println!("{label}:"));
    }
}
