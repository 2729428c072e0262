"""Texts that attackers put into events, to make a page run them or deceive its reader."""

CALL = "window.hacked=1"
SCRIPTS = (
    f"<script>{CALL}</script>",
    f"<img src=x onerror={CALL}>",
    f'"><svg onload={CALL}>',
    f"'><iframe srcdoc='<script>parent.{CALL}</script>'></iframe>",
    f"javascript:{CALL}",
    f"</textarea></title></style><script>{CALL}</script>",
    f"<a href=javascript:{CALL}>click</a>",
    f"<body onload={CALL}><input autofocus onfocus={CALL}>",
    f'" onmouseover="{CALL}" autofocus onfocus="{CALL}" x="',
    f"${{{CALL}}} {{{{constructor.constructor('{CALL}')()}}}}",
    f"<math><mtext><table><mglyph><style><img src=x onerror={CALL}>",
    f"<!--><img src=x onerror={CALL}>-->",
    f"&lt;script&gt;{CALL}&lt;/script&gt; &#60;img src=x onerror={CALL}&#62;",
    "<base href=https://evil.example/><link rel=stylesheet href=https://evil.example/x.css>",
    "<meta http-equiv=refresh content=0;url=https://evil.example/>",
    f"<form action=javascript:{CALL}><button>ok</button></form>",
    f"<object data=javascript:{CALL}></object><embed src=javascript:{CALL}>",
    "__proto__",
    "constructor",
)
"""Texts that would run, or load, something as markup."""
HIDDEN = {
    "bidi \u202efdp.exe": "U+202E",
    "isolate \u2066abc\u2069": "U+2066",
    "ansi \x1b[31mred\x1b[0m": "\u241b",
    "nul \x00 bell \x07 delete \x7f": "\u2400",
    "zero\u200bwidth\ufeff": "U+200B",
    "line\r\nbreak": "\u240d",
    "tag \U000e0041": "U+E0041",
    "c1 \x9b31m": "U+009B",
}
"""Texts with characters that cannot be seen, and a sign that the page shows in place of one."""
LONG = "A" * 65_536
"""A text as long as titles may be."""
