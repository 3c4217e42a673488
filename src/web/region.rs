//! Page regions that are also sent separately when they change.

/// Declares a region of `$page`: a template over the page's fields that is compiled once. The page prints it with `{{
/// self.$method() }}`. Askama's `blocks` would compile each block twice.
#[macro_export]
macro_rules! region {
    ($page:ident, $method:ident, $name:ident, $path:tt) => {
        #[derive(askama::Template)]
        #[template(path = $path)]
        struct $name<'a>(&'a $page);

        impl std::ops::Deref for $name<'_> {
            type Target = $page;
            fn deref(&self) -> &$page {
                self.0
            }
        }

        impl askama::filters::HtmlSafe for $name<'_> {}

        impl $page {
            fn $method(&self) -> $name<'_> {
                $name(self)
            }
        }
    };
}
