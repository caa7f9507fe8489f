(** Total variation between distributions on a finite type. *)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp.algebra_tactics Require Import ring.
From mdtheory Require Import Model.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Tv.

Variables (F : realFieldType) (A : finType).
Implicit Types p q r : A -> F.

Lemma tv_ge0 p q : 0 <= tv p q.
Proof. by rewrite divr_ge0 ?ler0n // sumr_ge0. Qed.

Lemma tvC p q : tv p q = tv q p.
Proof. by congr (_ / _); apply: eq_bigr => a _; rewrite distrC. Qed.

Lemma tvxx p : tv p p = 0.
Proof. by rewrite /tv big1 ?mul0r // => a _; rewrite subrr normr0. Qed.

Lemma tv_triangle p q r : tv p r <= tv p q + tv q r.
Proof.
rewrite -mulrDl ler_pmul2r ?invr_gt0 ?ltr0n // -big_split /=.
by apply: ler_sum => a _; apply: ler_dist_add.
Qed.

(** Minimum and positive part by the absolute value. *)
Lemma min_abs (x y : F) : Num.min x y = (x + y - `|x - y|) / 2%:R.
Proof. by case: lerP => _; field. Qed.

Lemma max0_abs (x : F) : Num.max 0 x = (x + `|x|) / 2%:R.
Proof. by case: ger0P => _; field. Qed.

(** What two distributions have in common has mass 1 - TV. *)
Lemma sum_min p q :
  dist p -> dist q -> \sum_a Num.min (p a) (q a) = 1 - tv p q.
Proof.
move=> [_ p1] [_ q1].
under eq_bigr => a _ do rewrite min_abs.
by rewrite -mulr_suml sumrB big_split /= p1 q1 mulrBl; congr (_ - _); field.
Qed.

Lemma tv_le1 p q : dist p -> dist q -> tv p q <= 1.
Proof.
move=> hp hq; rewrite -subr_ge0 -sum_min //.
by apply: sumr_ge0 => a _; rewrite le_minr hp.1 hq.1.
Qed.

Lemma tv_positive_part p q :
  dist p -> dist q -> tv p q = \sum_a Num.max 0 (p a - q a).
Proof.
move=> [_ p1] [_ q1].
under eq_bigr => a _ do rewrite max0_abs.
by rewrite -mulr_suml big_split /= sumrB p1 q1 subrr add0r.
Qed.

(** Total variation is attained by a test. *)
Lemma tv_test p q :
  dist p -> dist q -> exists B : pred A, tv p q = \sum_(a | B a) p a - \sum_(a | B a) q a.
Proof.
move=> hp hq; exists (fun a => q a < p a).
rewrite tv_positive_part // -sumrB [RHS]big_mkcond; apply: eq_bigr => a _ /=.
by rewrite /Order.max subr_gt0.
Qed.

Lemma expect_between p (x : A -> F) lo hi :
  dist p -> (forall a, lo <= x a <= hi) -> lo <= expect p x <= hi.
Proof.
move=> [p0 p1] hx; rewrite -[lo]mul1r -[hi]mul1r -!p1 !mulr_suml.
by apply/andP; split; apply: ler_sum => a _; apply: ler_wpmul2l => //; case/andP: (hx a).
Qed.

Lemma expect_le p (x y : A -> F) :
  dist p -> (forall a, x a <= y a) -> expect p x <= expect p y.
Proof. by move=> [p0 _] h; apply: ler_sum => a _; apply: ler_wpmul2l. Qed.

Lemma expect_const p (x : F) : dist p -> expect p (fun=> x) = x.
Proof. by move=> [_ p1]; rewrite /expect -mulr_suml p1 mul1r. Qed.

Lemma expectB p (x y : A -> F) : expect p (fun a => x a - y a) = expect p x - expect p y.
Proof. by rewrite -sumrB; apply: eq_bigr => a _; rewrite mulrBr. Qed.

Lemma expectZ p (k : F) (x : A -> F) : expect p (fun a => k * x a) = k * expect p x.
Proof. by rewrite mulr_sumr; apply: eq_bigr => a _; rewrite mulrCA. Qed.

(** What [p] expects beyond the part it has in common with [q]. *)
Lemma expect_common_le p q (x : A -> F) hi :
  dist p -> dist q -> (forall a, x a <= hi) ->
  expect p x <= \sum_a Num.min (p a) (q a) * x a + tv p q * hi.
Proof.
move=> hp hq hx; rewrite -[tv p q](subKr 1) -sum_min // -hp.2 -sumrB mulr_suml -big_split.
apply: ler_sum => a _ /=; rewrite -ler_subl_addl -mulrBl ler_wpmul2l // subr_ge0.
by rewrite le_minl lexx.
Qed.

Lemma expect_common_ge p q (x : A -> F) lo :
  dist p -> dist q -> (forall a, lo <= x a) ->
  \sum_a Num.min (p a) (q a) * x a + tv p q * lo <= expect p x.
Proof.
move=> hp hq hx; rewrite -[tv p q](subKr 1) -sum_min // -hp.2 -sumrB mulr_suml -big_split.
apply: ler_sum => a _ /=; rewrite -ler_subr_addl -mulrBl ler_wpmul2l // subr_ge0.
by rewrite le_minl lexx.
Qed.

(** A distribution needs a point to live on. *)
Lemma dist_inhabited p : dist p -> exists a : A, true.
Proof.
move=> [_ p1]; have [a _|A0] := pickP A; first by exists a.
by move/eqP: p1; rewrite big_pred0 // eq_sym oner_eq0.
Qed.

End Tv.

(** Weights that sum to 0 tell apart what lies between lo and hi by half their absolute sum. *)
Lemma balanced_sum (F : realFieldType) (I : finType) (w x : I -> F) lo hi :
  \sum_i w i = 0 -> (forall i, lo <= x i <= hi) ->
  `|\sum_i w i * x i| <= (\sum_i `|w i|) / 2%:R * (hi - lo).
Proof.
move=> w0 hx; pose mid := (lo + hi) / 2%:R; pose half := (hi - lo) / 2%:R.
have hE : mid + half = hi by rewrite /mid /half; field.
have lE : mid - half = lo by rewrite /mid /half; field.
have -> : \sum_i w i * x i = \sum_i w i * (x i - mid).
  by under [RHS]eq_bigr => i _ do rewrite mulrBr; rewrite sumrB -mulr_suml w0 mul0r subr0.
rewrite mulrAC -mulrA -/half mulr_suml.
apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => i _; rewrite normrM.
by apply: ler_wpmul2l => //; rewrite ler_distl lE hE hx.
Qed.

Lemma expect_distance (F : realFieldType) (A : finType) (p q : A -> F) (x : A -> F) lo hi :
  dist p -> dist q -> (forall a, lo <= x a <= hi) ->
  `|expect p x - expect q x| <= tv p q * (hi - lo).
Proof.
move=> [_ p1] [_ q1] hx; rewrite -sumrB.
under eq_bigr => a _ do rewrite -mulrBl.
by apply: balanced_sum => //; rewrite sumrB p1 q1 subrr.
Qed.
