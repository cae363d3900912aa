# Puts the keys of `lethed --help-config` (standard input) into docs/lethed.conf.5.in (second file).
function escaped(s) {
    gsub(/\\/, "\\e", s)
    return s ~ /^[.']/ ? "\\&" s : s
}
BEGIN {
    about["[lethed]"] = "The daemon."
    about["[gate]"] = "What a request's result is measured by before it may serve: a limit and a rule. " \
        "pass: the whole interval must be within; point: the estimate must be, and the interval not " \
        "wholly outside; no-fail: the interval must not be wholly outside; report: it is told only."
    about["[gslora]"] = "How classes are forgotten; a request may override each of them."
}
FNR == NR {
    if (/^\[/) {
        keys = keys (keys ? ".El\n" : "") ".Ss " $0 "\n" about[$0] "\n.Bl -tag -width Ds\n"
    } else if (/^# /) {
        text = substr($0, 3)
    } else if (/^[a-z_]+ =/) {
        keys = keys ".It Li " escaped($0) "\n" escaped(text) ".\n"
    }
    next
}
/^\.\\" KEYS/ {
    printf "%s.El\n", keys
    next
}
{ print }
