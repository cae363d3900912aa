#!/usr/bin/python3
"""Reference values for the retention evaluation, computed with numpy in the most direct way.

Writes eval_golden.h beside this file.  The inputs are not stored: this script and
test_eval_golden.c make the same arrays from the same integer recipe (every number is a multiple of
1/1024 and exact in float32).  Everything here is brute force on purpose: all pairs for an AUC, dense
solves for the ridge probe, so that it shares no shortcut with the C code.

usage: make_eval_golden.py            (numpy only; no arguments)
"""
import math
import os

import numpy as np

M = (1 << 64) - 1
K, C, WIDE = 7, 5, 64
LIVE = [0, 1, 2, 3]
FORGETTING = [4, 5]
SEED = 20240607
Z = 1.959963984540054


# ------------------------------------------------------------------ the recipe of the inputs
def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M
    return z ^ (z >> 31)


def unit(seed, i):
    """A multiple of 1/1024 in [-2, 2)."""
    return (mix((((seed << 32) + i) * 0x9E3779B97F4A7C15 + 1) & M) >> 52) / 1024.0 - 2.0


def labels_of(counts):
    """Classes in turn until each has its count, so that a class' rows lie apart."""
    left, out = dict(counts), []
    while any(left.values()):
        for c in sorted(left):
            if left[c]:
                out.append(c)
                left[c] -= 1
    return np.array(out)


def logits_of(seed, labels, bonus, k=K):
    z = np.array([[unit(seed, i * k + j) for j in range(k)] for i in range(len(labels))])
    for i, y in enumerate(labels):
        if y < k:
            z[i, y] += bonus
    return z


def features_of(seed, labels, width, centres, scale=1.0):
    return np.array([[unit(seed, i * width + j) + scale * unit(centres, int(y) * width + j)
                      for j in range(width)] for i, y in enumerate(labels)])


class Set:
    def __init__(self, seed, counts, bonus, bonus_before):
        self.y = labels_of(counts)
        self.z = logits_of(seed, self.y, bonus)
        self.z0 = logits_of(seed + 1, self.y, bonus_before)


retain = Set(10, {0: 32, 1: 32, 2: 32, 3: 12}, 2.0, 2.25)
test = Set(20, {c: 10 for c in LIVE}, 1.75, 2.0)
members = Set(30, {c: 14 for c in LIVE}, 2.25, 2.0)
forget = Set(40, {4: 24, 5: 16}, -1.0, 2.5)
unseen = Set(50, {4: 14, 5: 16}, -0.5, 2.0)
erasure = Set(60, {6: 18}, -1.0, -1.0)
path_z = logits_of(70, forget.y, 0.25)
ablated_z = forget.z0
base_z = logits_of(72, forget.y, 3.0)
probe_y = labels_of({4: 20, 5: 14})
reference_y = labels_of({0: 14, 1: 15, 2: 16})
reference_z = logits_of(80, reference_y, 0.0)
BOUND = 3.0
feature = {}
for name, y, seed, centres in (("retain", retain.y, 90, 100), ("probe", probe_y, 92, 100),
                               ("reference", reference_y, 94, 101), ("erasure", erasure.y, 96, 100)):
    feature[name] = features_of(seed, y, C, centres)
    if name != "erasure":
        feature[name + "_wide"] = features_of(seed + 1, y, WIDE, centres + 2, 0.25)
prototypes = np.array([[unit(100, c * C + j) for j in range(C)] for c in range(K)])


# ------------------------------------------------------------------ the seeded streams
class Stream:
    """xoshiro256** keyed by (seed, zero request, name, index), as daemon/base/rng.h documents."""

    def __init__(self, name, index):
        h = 0
        for word in [SEED] + [0] * 16 + [0x100 + ord(c) for c in name] + [index]:
            h = mix((h + 0x9E3779B97F4A7C15 + mix(word)) & M)
        self.s = []
        for _ in range(4):
            h = (h + 0x9E3779B97F4A7C15) & M
            self.s.append(mix(h))

    def u64(self):
        def rotl(x, k):
            return ((x << k) | (x >> (64 - k))) & M
        s = self.s
        out = (rotl((s[1] * 5) & M, 7) * 9) & M
        t = (s[1] << 17) & M
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotl(s[3], 45)
        return out

    def below(self, n):
        limit = M - M % n
        while True:
            x = self.u64()
            if x < limit:
                return x % n

    def shuffle(self, items):
        for i in range(len(items), 1, -1):
            j = self.below(i)
            items[i - 1], items[j] = items[j], items[i - 1]


# ------------------------------------------------------------------ intervals
def quantile_normal(p):
    """Bisection on erfc: slow and sure."""
    lo, hi = -40.0, 40.0
    for _ in range(200):
        m = (lo + hi) / 2
        if 0.5 * math.erfc(-m / math.sqrt(2)) < p:
            lo = m
        else:
            hi = m
    return (lo + hi) / 2


def z_of(level):
    return quantile_normal(0.5 + level / 2)


def wilson(k, n, level=0.95):
    z = z_of(level)
    p = k / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (p, max(0.0, centre - half), min(1.0, centre + half), n)


def paired(before, after, level=0.95):
    b = int(np.sum(before & ~after))
    c = int(np.sum(~before & after))
    n = len(before)
    d, v = moments(b, c, n)
    h = z_of(level) * math.sqrt(v)
    return ((b - c) / n, d - h, d + h, n)


def moments(b, c, n):
    b, c, n = b + 0.5, c + 0.5, n + 2.0
    return (b - c) / n, (b + c - (b - c) ** 2 / n) / n ** 2


def t_quantile(p, df):
    """Simpson integration of the density and bisection."""
    logc = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)

    def cdf(x):
        n = 4000
        t = np.linspace(0, x, n + 1)
        f = np.exp(logc - (df + 1) / 2 * np.log1p(t * t / df))
        return 0.5 + x / n / 3 * (f[0] + f[-1] + 4 * f[1:-1:2].sum() + 2 * f[2:-1:2].sum())
    lo, hi = 0.0, 20.0
    for _ in range(100):
        m = (lo + hi) / 2
        lo, hi = (m, hi) if cdf(m) < p else (lo, m)
    return (lo + hi) / 2


def mean(x):
    n = len(x)
    m = float(np.mean(x))
    if n < 30:
        return (m, -math.inf, math.inf, n)
    h = t_quantile(0.975, n - 1) * float(np.std(x, ddof=1)) / math.sqrt(n)
    return (m, m - h, m + h, n)


def bounded(v, lo, hi):
    return (v[0], max(v[1], lo), min(v[2], hi), v[3])


def psi(a, b):
    return (a[:, None] > b[None, :]) + 0.5 * (a[:, None] == b[None, :])


def auc(a, b):
    p = psi(a, b)
    v, w = p.mean(1), p.mean(0)
    h = Z * math.sqrt(v.var(ddof=1) / len(a) + w.var(ddof=1) / len(b))
    m = float(p.mean())
    return (m, max(0.0, m - h), min(1.0, m + h), len(a) + len(b))


def auc_rise(a0, b0, a, b):
    p = psi(a, b) - psi(a0, b0)
    v, w = p.mean(1), p.mean(0)
    h = Z * math.sqrt(v.var(ddof=1) / len(a) + w.var(ddof=1) / len(b))
    return (float(p.mean()), float(p.mean()) - h, float(p.mean()) + h, len(a) + len(b))


def difference(a, b):
    d = a[0] - b[0]
    return (d, d - math.hypot(a[0] - a[1], b[2] - b[0]), d + math.hypot(a[2] - a[0], b[0] - b[1]),
            a[3] + b[3])


def bootstrap(strata, statistic, stream, draws=1000):
    """strata: one label an item; within each label its items are redrawn, labels ascending."""
    n = len(strata)
    groups = [[i for i in range(n) if strata[i] == s] for s in sorted(set(strata))]
    out = []
    for _ in range(draws):
        out.append(statistic([g[stream.below(len(g))] for g in groups for _ in g]))
    lo, hi = np.quantile(out, [0.025, 0.975])
    return (statistic(list(range(n))), float(lo), float(hi), n)


# ------------------------------------------------------------------ answers
def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def ce(z, y):
    return -np.log(softmax(z)[np.arange(len(y)), y])


def right(z, y, only=None):
    z = z.copy()
    if only is not None:
        z[:, [j for j in range(K) if j not in only]] = -np.inf
    return z.argmax(1) == y


def share(z, y, only=None, level=0.95):
    r = right(z, y, only)
    return wilson(int(r.sum()), len(y), level)


G = {}
r1, r0 = right(retain.z, retain.y, LIVE), right(retain.z0, retain.y, LIVE)
G["acc_retain"] = share(retain.z, retain.y, LIVE)
G["acc_retain_before"] = share(retain.z0, retain.y, LIVE)
G["acc_retain_all"] = share(retain.z, retain.y)
G["retain_loss"] = paired(r0, r1)
by = {c: retain.y == c for c in LIVE}
p_c = {c: r1[by[c]].mean() for c in LIVE}
n_c = {c: int(by[c].sum()) for c in LIVE}
m = sum(p_c.values()) / 4
h = Z * math.sqrt(sum(p_c[c] * (1 - p_c[c]) / n_c[c] for c in LIVE)) / 4
G["acc_retain_macro"] = (m, m - h, m + h, len(r1))
loss_c = {c: paired(r0[by[c]], r1[by[c]]) for c in LIVE}
mom = [moments(int((r0 & ~r1 & by[c]).sum()), int((~r0 & r1 & by[c]).sum()), n_c[c]) for c in LIVE]
h = Z * math.sqrt(sum(v for _, v in mom)) / 4
centre = sum(d for d, _ in mom) / 4
G["retain_loss_macro"] = (sum(v[0] for v in loss_c.values()) / 4, centre - h, centre + h, len(r1))
large = [c for c in LIVE if n_c[c] >= 30]
level = 1 - 0.05 / len(large)
w = {c: wilson(int(r1[by[c]].sum()), n_c[c], level) for c in large}
worst = min(large, key=lambda c: (w[c][0], c))
G["acc_retain_worst"] = (w[worst][0], min(v[1] for v in w.values()), min(v[2] for v in w.values()),
                         n_c[worst])
w = {c: paired(r0[by[c]], r1[by[c]], level) for c in large}
worst_loss = min(large, key=lambda c: (-w[c][0], c))
G["retain_loss_worst"] = (w[worst_loss][0], max(v[1] for v in w.values()),
                          max(v[2] for v in w.values()), n_c[worst_loss])
G["acc_test"] = share(test.z, test.y, LIVE)
G["acc_test_before"] = share(test.z0, test.y, LIVE)
G["acc_old_forgotten"] = share(erasure.z, erasure.y)
strongest = path_z if right(path_z, forget.y).sum() > right(forget.z, forget.y).sum() else forget.z
G["acc_forget"] = share(strongest, forget.y, level=1 - 0.05 / 2)
G["acc_forget_before"] = share(forget.z0, forget.y)
f1 = right(strongest, forget.y)
p_c = [f1[forget.y == c].mean() for c in FORGETTING]
h = Z * math.sqrt(sum(p * (1 - p) / (forget.y == c).sum() for p, c in zip(p_c, FORGETTING))) / 2
m = sum(p_c) / 2
G["acc_forget_macro"] = (m, max(0.0, m - h), m + h, len(f1))
G["acc_unseen"] = share(unseen.z, unseen.y)
G["ablation"] = share(ablated_z, forget.y)
f0 = right(forget.z0, forget.y)
G["drop"] = paired(f0, f1)
G["drop_base"] = paired(right(base_z, forget.y), f1)


def harmonic(a, d):
    return 0.0 if d <= 0 or a <= 0 else 2 * a * d / (a + d)


a, d = share(retain.z, retain.y, LIVE, 0.975), paired(f0, f1, 0.975)
G["h_mean"] = tuple(harmonic(a[i], d[i]) for i in range(3)) + (len(r1) + len(f1),)
G["tow_target"] = ((1 - abs(G["acc_forget"][0] - 0.25))
                   * (1 - abs(G["acc_retain_before"][0] - G["acc_retain"][0]))
                   * (1 - abs(G["acc_test_before"][0] - G["acc_test"][0])), -math.inf, math.inf,
                   len(f1) + len(r1) + len(test.y))


def ece_of(z, y, index):
    p = softmax(z[:, LIVE])
    conf = p.max(1)
    ok = right(z, y, LIVE)
    b = np.clip(np.ceil(conf * 15).astype(int) - 1, 0, 14)

    def statistic(items):
        items = np.array(items)
        return sum(abs(ok[s].sum() - conf[s].sum()) for s in
                   (items[b[items] == k] for k in range(15))) / len(items)
    return bootstrap(y, statistic, Stream("eval_bootstrap", index))


G["ece"] = ece_of(retain.z, retain.y, 0)
G["ece_before"] = ece_of(retain.z0, retain.y, 1)
p, q = softmax(retain.z0), softmax(retain.z)
mid = (p + q) / 2
js = (p * np.log(p / mid) + q * np.log(q / mid)).sum(1) / 2
G["js_drift"] = mean(js)
reach = Z * math.sqrt(0.95 * 0.05 / len(js))
G["js_drift_p95"] = tuple(float(np.quantile(js, x)) for x in (0.95, 0.95 - reach, 0.95 + reach)) \
    + (len(js),)
G["js_drift_max"] = (js.max(), js.max(), math.log(2), len(js))
unitp = prototypes / np.linalg.norm(prototypes, axis=1, keepdims=True)
near = sorted(LIVE, key=lambda c: -max(unitp[c] @ unitp[t] for t in FORGETTING))[:3]
s = np.isin(retain.y, near)
G["near_neighbour"] = paired(r0[s], r1[s])

# ------------------------------------------------------------------ membership
sf, su = -ce(forget.z, forget.y), -ce(unseen.z, unseen.y)
G["mia_auc"] = auc(sf, su)
G["mia_auc_before"] = auc(-ce(forget.z0, forget.y), -ce(unseen.z0, unseen.y))
v = G["mia_auc"]
G["mia_distance"] = (abs(v[0] - 0.5), max(0.0, v[1] - 0.5, 0.5 - v[2]), max(v[2] - 0.5, 0.5 - v[1]),
                     v[3])
G["streisand_unseen_auc"] = (1 - v[0], 1 - v[2], 1 - v[1], v[3])


def modified_entropy(z, y):
    p = softmax(z)
    out = []
    for i in range(len(y)):
        t = -(1 - p[i, y[i]]) * math.log(p[i, y[i]])
        t -= sum(p[i, j] * math.log(1 - p[i, j]) for j in range(K) if j != y[i])
        out.append(t)
    return np.array(out)


G["mia_entropy_auc"] = auc(-modified_entropy(forget.z, forget.y), -modified_entropy(unseen.z, unseen.y))
sm, st = -ce(members.z, members.y), -ce(test.z, test.y)
sm0, st0 = -ce(members.z0, members.y), -ce(test.z0, test.y)
G["mia_retain_auc"] = auc(sm, st)
G["mia_retain_auc_before"] = auc(sm0, st0)
G["mia_retain_rise"] = auc_rise(sm0, st0, sm, st)
nf, nu = len(sf), len(su)
both = np.concatenate([sf, su])


def decile(items):
    a = sorted(both[i] for i in items if i < nf)[-math.ceil(nf / 10):]
    b = sorted(both[i] for i in items if i >= nf)[-math.ceil(nu / 10):]
    return sum(a) / len(a) - sum(b) / len(b)


G["exposed_decile"] = bootstrap(np.concatenate([forget.y, K + unseen.y]), decile,
                                Stream("eval_bootstrap", 2))
grid = np.unique(both)
D = max(abs((sf <= x).mean() - (su <= x).mean()) for x in grid)
eps = math.sqrt(math.log(80) / (2 * nf)) + math.sqrt(math.log(80) / (2 * nu))
G["ks"] = (D, max(0.0, D - eps), min(1.0, D + eps), nf + nu)
lam = math.sqrt(nf * nu / (nf + nu)) * D
KS_P = 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * lam * lam) for k in range(1, 101))
L = ce(forget.z, forget.y)
G["pile_up"] = wilson(int((abs(L - BOUND) <= 0.05 * BOUND).sum()), nf)
G["mean_true_p"] = bounded(mean(np.exp(-L)), 0, 1)
ranks = []
for z, y in zip(forget.z, forget.y):
    ranks.append(1 + (z > z[y]).sum() + 0.5 * ((z == z[y]).sum() - 1))
G["mean_true_rank"] = bounded(mean(np.array(ranks)), 1, K)
G["streisand_reference_auc"] = auc(-np.log(softmax(forget.z)[:, FORGETTING].max(1)),
                                   -np.log(softmax(reference_z)[:, FORGETTING].max(1)))


# ------------------------------------------------------------------ representation
def normalised(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def ncm(live_x, live_y, x, y, base, n_use=None):
    protos = [normalised(live_x[live_y == c]).mean(0) for c in sorted(set(live_y))]
    per_draw, queries = np.zeros(20), 0
    classes = sorted(set(y))
    for c in classes:
        rows = normalised(x[y == c][:n_use])
        stream = Stream("eval_support", base + int(c))
        queries += len(rows) - 5
        for d in range(20):
            order = list(range(len(rows)))
            stream.shuffle(order)
            own = rows[order[:5]].mean(0)
            hit = 0
            for i in order[5:]:
                live_d = min(np.sum((rows[i] - p) ** 2) for p in protos)
                hit += np.sum((rows[i] - own) ** 2) < live_d
            per_draw[d] += hit / (len(rows) - 5) / len(classes)
    return wilson(per_draw.mean() * queries, queries), per_draw.min(), per_draw.max()


def ridge(live_x, live_y, x, y, n_use):
    hits, tests, first_lambda = 0, 0, None
    for c in sorted(set(y)):
        rows = x[y == c][:n_use]
        fit = [live_x[live_y == k][0::2] for k in sorted(set(live_y))] + [rows[0::2]]
        X = np.concatenate(fit)
        Y = np.zeros((len(X), len(fit)))
        at = 0
        for k, f in enumerate(fit):
            Y[at:at + len(f), k] = 1
            at += len(f)
        mu, sd = X.mean(0), X.std(0)
        X = (X - mu) / sd
        lam = 0.01 * np.trace(X.T @ X) / X.shape[1]
        first_lambda = first_lambda or lam
        W = np.linalg.solve(X.T @ X + lam * np.eye(X.shape[1]), X.T @ Y)
        s = (rows[1::2] - mu) / sd @ W
        hits += int((s.argmax(1) == len(fit) - 1).sum())
        tests += len(s)
    return wilson(hits, tests), first_lambda


N_USE = 14
F = feature
G["probe_ncm"], NCM_MIN, NCM_MAX = ncm(F["retain"], retain.y, F["probe"], probe_y, 0, N_USE)
G["reference_ncm"], _, _ = ncm(F["retain"], retain.y, F["reference"], reference_y, 1 << 32, N_USE)
G["probe_ridge"], LAMBDA = ridge(F["retain"], retain.y, F["probe"], probe_y, N_USE)
G["reference_ridge"], _ = ridge(F["retain"], retain.y, F["reference"], reference_y, N_USE)
G["gap_ncm"] = difference(G["probe_ncm"], G["reference_ncm"])
G["gap_ridge"] = difference(G["probe_ridge"], G["reference_ridge"])
B = {
    "ncm": ncm(F["retain_wide"], retain.y, F["probe_wide"], probe_y, 0, N_USE)[0],
    "ridge": ridge(F["retain_wide"], retain.y, F["probe_wide"], probe_y, N_USE)[0],
    "reference_ncm": ncm(F["retain_wide"], retain.y, F["reference_wide"], reference_y, 1 << 32, N_USE)[0],
    "reference_ridge": ridge(F["retain_wide"], retain.y, F["reference_wide"], reference_y, N_USE)[0],
}
RELAPSE_NCM = ncm(F["retain"], retain.y, F["erasure"], erasure.y, 2 << 32)[0]


# ------------------------------------------------------------------ the header
def number(x):
    if math.isinf(x):
        return "-HUGE_VAL" if x < 0 else "HUGE_VAL"
    return repr(float(x))


def row(name, v):
    return '    {"%s", {%s, %s, %s, %du}},\n' % (name, number(v[0]), number(v[1]), number(v[2]), v[3])


with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "eval_golden.h"), "w") as f:
    f.write("/* Written by make_eval_golden.py (numpy %s); not edited by hand. */\n" % np.__version__)
    f.write("/* clang-format off */\n#ifndef LETHE_TESTS_EVAL_GOLDEN_H\n#define LETHE_TESTS_EVAL_GOLDEN_H\n\n")
    f.write('#include <math.h>\n#include <stdint.h>\n\n#include "learners/eval/gate_check.h"\n\n')
    f.write("struct golden {\n    const char *name;\n    struct eval_value v;\n};\n\n")
    f.write("static const struct golden GOLDEN[] = {\n")
    f.write("".join(row(k, G[k]) for k in G))
    f.write("};\n\nstatic const struct golden GOLDEN_BLOCK[] = {\n")
    f.write("".join(row(k, B[k]) for k in B))
    f.write("};\n\nstatic const struct golden GOLDEN_RELAPSE_NCM = \n%s;\n" % row("ncm", RELAPSE_NCM)[:-2])
    f.write("\n#define GOLDEN_KS_P %r\n" % float(KS_P))
    f.write("#define GOLDEN_NCM_MIN %r\n#define GOLDEN_NCM_MAX %r\n" % (float(NCM_MIN), float(NCM_MAX)))
    f.write("#define GOLDEN_LAMBDA %r\n" % float(LAMBDA))
    f.write("#define GOLDEN_WORST_CLASS %du\n#define GOLDEN_WORST_LOSS_CLASS %du\n" % (worst, worst_loss))
    f.write("static const uint32_t GOLDEN_NEIGHBOUR[] = {%s};\n" % ", ".join("%du" % c for c in near))
    f.write("\n#endif\n")
