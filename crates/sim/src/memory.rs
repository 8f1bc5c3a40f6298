//! What a policy without memory remembers.

/// The items of a policy, over the [`Memory`](crate::Policy::Memory) `()`, that have nothing to do.
macro_rules! without_memory {
    () => {
        fn begin(&self, _rows: usize) -> $crate::Result<()> {
            Ok(())
        }

        fn observe(
            &self,
            _memory: &mut (),
            _slates: &$crate::Slates,
            _responses: &$crate::Responses,
        ) -> $crate::Result<()> {
            Ok(())
        }

        fn select(&self, _memory: &(), _rows: &[usize]) -> $crate::Result<()> {
            Ok(())
        }
    };
}

pub(crate) use without_memory;
