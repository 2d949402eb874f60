// The crate that stands in for libfuzzer-sys: what its fuzz_target! does, for inputs of bytes. initialize() has the name that reports leave
// out of a bug's state.
pub enum Corpus { Keep, Reject }
impl From<()> for Corpus { fn from(_: ()) -> Self { Corpus::Keep } }
impl Corpus { pub fn to_libfuzzer_code(self) -> i32 { match self { Corpus::Keep => 0, Corpus::Reject => -1 } } }
pub fn initialize() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| { default(info); std::process::abort() }));
}
#[macro_export]
macro_rules! fuzz_target {
    (|$d:ident| $b:expr) => { $crate::fuzz_target!(init: (), |$d: &[u8]| -> () { $b }); };
    (|$d:ident: &[u8]| $b:expr) => { $crate::fuzz_target!(init: (), |$d: &[u8]| -> () { $b }); };
    (|$d:ident: &[u8]| -> $r:ty $b:block) => { $crate::fuzz_target!(init: (), |$d: &[u8]| -> $r $b); };
    (init: $i:expr, |$d:ident| $b:expr) => { $crate::fuzz_target!(init: $i, |$d: &[u8]| -> () { $b }); };
    (init: $i:expr, |$d:ident: &[u8]| $b:expr) => { $crate::fuzz_target!(init: $i, |$d: &[u8]| -> () { $b }); };
    (init: $i:expr, |$d:ident: &[u8]| -> $r:ty $b:block) => {
        const _: () = {
            #[no_mangle]
            pub extern "C" fn LLVMFuzzerInitialize(_: *const i32, _: *const *const *const u8) -> i32 {
                $crate::initialize();
                $i;
                0
            }
            #[no_mangle]
            pub unsafe extern "C" fn LLVMFuzzerTestOneInput(p: *const u8, n: usize) -> i32 {
                let d: &[u8] = if n == 0 { &[] } else { unsafe { std::slice::from_raw_parts(p, n) } };
                $crate::Corpus::from(__libfuzzer_sys_run(d)).to_libfuzzer_code()
            }
            #[inline(never)]
            #[allow(unused_braces)]
            fn __libfuzzer_sys_run($d: &[u8]) -> $r { $b }
        };
    };
}
