(** B6: linearised mutual distillation keeps the agents' mean and shrinks what tells them apart.

    A single agent is covered: 1 / 0 = 0 here, so it has nobody to be pulled to. *)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp.algebra_tactics Require Import ring.
From mdtheory Require Import Model.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(** ** Sums over the other agents *)

Section Others.

Variables (K : finType) (V : zmodType).

Lemma sum_others (x : K -> V) i : x i = 0 -> \sum_(j | j != i) x j = \sum_j x j.
Proof. by move=> xi; rewrite [RHS](bigD1 i) //= xi add0r. Qed.

Lemma sum_differences (u : K -> V) i :
  \sum_(j | j != i) (u i - u j) = u i *+ #|K| - \sum_j u j.
Proof. by rewrite (sum_others (x := fun j => _)) ?subrr // sumrB sumr_const. Qed.

End Others.

(** ** Scalar weights *)

Section Scalars.

Variables (F : realFieldType) (K : finType).
Implicit Types (u v d us : K -> F) (h g alpha k e rho : F).

(** N, their number. *)
Definition agents : F := #|K|%:R.
Notation N := agents.

Definition mean u : F := (\sum_i u i) / N.

(** The loss, see proofs/B6.md, for pulls [us]. *)
Definition loss h g alpha us u : F :=
  (\sum_i (h / 2%:R * (u i - us i) ^+ 2 +
           alpha / (N - 1) * \sum_(j | j != i) g / 2%:R * (u i - u j) ^+ 2)) / N.

(** Its gradient, times N, vanishes: both agents of a pair receive the pair's gradient. *)
Definition stationary h g alpha us u : Prop :=
  forall i, h * (u i - us i) +
    2%:R * alpha * g / (N - 1) * (\sum_(j | j != i) (u i - u j)) = 0.

(** What is left of a deviation from the mean. *)
Definition kappa h g alpha : F := h / (h + 2%:R * alpha * g * N / (N - 1)).

Definition shrunk k us : K -> F := fun i => mean us + k * (us i - mean us).

Lemma agents_gt0 (i : K) : 0 < N.
Proof. by rewrite ltr0n; apply/card_gt0P; exists i. Qed.

Lemma others_ge0 (i : K) : 0 <= (N - 1)^-1.
Proof. by rewrite invr_ge0 subr_ge0 ler1n; apply/card_gt0P; exists i. Qed.

Lemma half_square_ge0 (c x : F) : 0 < c -> 0 <= c / 2%:R * x ^+ 2.
Proof. by move=> c0; rewrite mulr_ge0 ?sqr_ge0 // divr_ge0 ?ler0n // ltW. Qed.

Lemma sum_agents (x : F) : \sum_(i : K) x = N * x.
Proof. by rewrite sumr_const mulr_natl. Qed.

Lemma sum_mean u : \sum_i u i = N * mean u.
Proof.
have [i _|noK] := pickP (@predT K); first by rewrite mulrC divfK // gt_eqF ?(agents_gt0 i).
by rewrite /agents (eq_card0 noK) mul0r big_pred0.
Qed.

Lemma sum_scalar_differences u i : \sum_(j | j != i) (u i - u j) = N * (u i - mean u).
Proof. by rewrite sum_differences sum_mean -mulr_natl mulrBr. Qed.

Lemma mean_shrunk k us : mean (shrunk k us) = mean us.
Proof.
rewrite {1}/mean /shrunk big_split /= sum_agents -mulr_sumr sumrB sum_agents.
by rewrite -sum_mean subrr mulr0 addr0.
Qed.

Section Solution.

Variables (h g alpha : F) (us : K -> F).
Hypotheses (h_gt0 : 0 < h) (g_gt0 : 0 < g) (alpha_ge0 : 0 <= alpha).

Let lam := 2%:R * alpha * g * N / (N - 1).

Let strength_gt0 (i : K) : 0 < h + lam.
Proof. by rewrite ltr_spaddl // !mulr_ge0 ?(others_ge0 i) ?ler0n // ltW. Qed.

(** Stationarity, once the others are replaced by the mean. *)
Lemma stationary_mean u :
  stationary h g alpha us u <-> forall i, h * (u i - us i) + lam * (u i - mean u) = 0.
Proof.
suff eq i : h * (u i - us i) + lam * (u i - mean u) = h * (u i - us i) +
    2%:R * alpha * g / (N - 1) * (\sum_(j | j != i) (u i - u j)).
  by split=> st i; [rewrite eq | rewrite -eq].
by rewrite sum_scalar_differences /lam; ring.
Qed.

Lemma stationary_shrunk u :
  stationary h g alpha us u <-> forall i, u i = shrunk (kappa h g alpha) us i.
Proof.
rewrite stationary_mean; split=> [st|uE] i; have s0 := strength_gt0 i; last first.
  have -> : mean u = mean us.
    rewrite -(mean_shrunk (kappa h g alpha) us); congr (_ / _); apply: eq_bigr => j _; apply: uE.
  by rewrite uE /shrunk /kappa -/lam; field; rewrite gt_eqF.
have mE : mean u = mean us.
  have : \sum_i (h * (u i - us i) + lam * (u i - mean u)) = 0 by rewrite big1.
  rewrite big_split /= -!mulr_sumr !sumrB sum_agents -sum_mean subrr mulr0 addr0.
  move/eqP; rewrite mulf_eq0 gt_eqF //= subr_eq0 => /eqP eq_sum.
  by rewrite /mean eq_sum.
have := st i; rewrite mE => /eqP; rewrite /shrunk /kappa -/lam => /eqP e.
apply: (mulfI (lt0r_neq0 s0)); apply/eqP; rewrite -subr_eq0 -e; apply/eqP.
by field; rewrite gt_eqF.
Qed.

(** Around a stationary point the loss grows as it does around 0 without pulls. *)
Lemma loss_expansion u v :
  stationary h g alpha us u ->
  loss h g alpha us v = loss h g alpha us u + loss h g alpha (fun=> 0) (fun i => v i - u i).
Proof.
move=> st; pose d i := v i - u i; pose b := alpha / (N - 1) * g.
have cross : \sum_i (h * (u i - us i) * d i + b * \sum_j (u i - u j) * (d i - d j)) = 0.
  have swap : \sum_i \sum_j (u i - u j) * d j = - \sum_i \sum_j (u i - u j) * d i.
    rewrite exchange_big -sumrN; apply: eq_bigr => i _; rewrite -sumrN.
    by apply: eq_bigr => j _; rewrite -mulNr opprB.
  rewrite big_split /= -mulr_sumr.
  have -> : \sum_i \sum_j (u i - u j) * (d i - d j) =
      2%:R * \sum_i (\sum_j (u i - u j)) * d i.
    under eq_bigr do (under eq_bigr do rewrite mulrBr; rewrite sumrB).
    rewrite sumrB swap opprK -mulr2n -mulr_natl; congr (_ * _).
    by apply: eq_bigr => i _; rewrite mulr_suml.
  rewrite mulrA mulr_sumr -big_split big1 // => i _ /=.
  rewrite mulrA -mulrDl -(sum_others (i := i)) ?subrr //.
  by rewrite (_ : _ + _ = 0) ?mul0r // -[RHS](st i) /b; congr (_ + _ * _); ring.
rewrite /loss -mulrDl -big_split -[X in _ = X / _]addr0 -[X in _ = (_ + X) / _]cross -big_split /=.
congr (_ / _).
apply: eq_bigr => i _; rewrite -(sum_others (x := fun j => _ * (d i - d j)) (i := i)); last first.
  by rewrite !subrr mulr0.
have -> : \sum_(j | j != i) g / 2%:R * (v i - v j) ^+ 2 =
    \sum_(j | j != i) g / 2%:R * (u i - u j) ^+ 2 +
    \sum_(j | j != i) g / 2%:R * (d i - d j) ^+ 2 +
    g * (\sum_(j | j != i) (u i - u j) * (d i - d j)).
  by rewrite mulr_sumr -!big_split; apply: eq_bigr => j _; rewrite /d /=; field.
rewrite -/(d _) /b; under [in RHS]eq_bigr do rewrite -!/(d _).
have -> : v i = u i + d i by rewrite /d addrC subrK.
move: (\sum_(j | _) _) (\sum_(j | _) _) (\sum_(j | _) _) (N - 1)^-1 => x y z n.
by field.
Qed.

Lemma loss_ge d i : h / 2%:R * d i ^+ 2 / N <= loss h g alpha (fun=> 0) d.
Proof.
have pairs_ge0 j : 0 <= alpha / (N - 1) * \sum_(k | k != j) g / 2%:R * (d j - d k) ^+ 2.
  apply: mulr_ge0 (mulr_ge0 alpha_ge0 (others_ge0 j)) _.
  by apply: sumr_ge0 => k _; apply: half_square_ge0.
rewrite ler_pmul2r ?invr_gt0 ?(agents_gt0 i) // (bigD1 i) //= subr0 -addrA ler_addl.
by rewrite addr_ge0 // sumr_ge0 // => j _; rewrite addr_ge0 ?half_square_ge0.
Qed.

End Solution.

(** The loss has one stationary point: the mean of the pulls, and [kappa] times each deviation. *)
Theorem shrinkage_unique_solution h g alpha us u :
  0 < h -> 0 < g -> 0 <= alpha ->
  stationary h g alpha us u <->
    forall i, u i = mean us + kappa h g alpha * (us i - mean us).
Proof. by move=> h0 g0 al0; apply: (stationary_shrunk us h0 g0 al0 u). Qed.

(** It is the only global minimum. *)
Theorem shrinkage_minimum h g alpha us u :
  0 < h -> 0 < g -> 0 <= alpha ->
  (forall v, loss h g alpha us u <= loss h g alpha us v) <->
    forall i, u i = mean us + kappa h g alpha * (us i - mean us).
Proof.
move=> h0 g0 al0; split=> [min i|uE v].
  have st : stationary h g alpha us (shrunk (kappa h g alpha) us).
    exact/(shrinkage_unique_solution _ _ h0 g0 al0).
  have := min (shrunk (kappa h g alpha) us); rewrite (loss_expansion u st) ger_addl => le0.
  have := le_trans (loss_ge h0 g0 al0 _ i) le0.
  rewrite pmulr_lle0 ?invr_gt0 ?(agents_gt0 i) // pmulr_rle0 ?divr_gt0 ?ltr0n //.
  by rewrite real_exprn_even_le0 ?num_real //= subr_eq0 => /eqP.
have [i _|noK] := pickP (@predT K); last by rewrite /loss !big_pred0.
have /(shrinkage_unique_solution _ _ h0 g0 al0) st := uE.
rewrite (loss_expansion v st) ler_addl; apply: le_trans (loss_ge h0 g0 al0 _ i).
by rewrite divr_ge0 ?ler0n // half_square_ge0.
Qed.

Corollary shrinkage_mean h g alpha us u :
  0 < h -> 0 < g -> 0 <= alpha -> stationary h g alpha us u -> mean u = mean us.
Proof.
move=> h0 g0 al0 /(shrinkage_unique_solution _ _ h0 g0 al0) uE.
rewrite -(mean_shrunk (kappa h g alpha) us); congr (_ / _); apply: eq_bigr => i _; exact: uE.
Qed.

(** [kappa] falls from 1 as [alpha] rises, and ends up below anything positive. *)

Lemma kappa0 h g : 0 < h -> kappa h g 0 = 1.
Proof. by move=> h0; rewrite /kappa mulr0 !mul0r addr0 divff ?gt_eqF. Qed.

Section Kappa.

Variables (h g : F).
Hypotheses (h_gt0 : 0 < h) (g_gt0 : 0 < g) (agents_gt1 : (1 < #|K|)%N).

Let pull := 2%:R * g * N / (N - 1).

Let pull_gt0 : 0 < pull.
Proof.
by rewrite /pull /agents !mulr_gt0 ?invr_gt0 ?subr_gt0 ?ltr1n ?ltr0n // ltnW.
Qed.

Let kappaE alpha : kappa h g alpha = h / (h + alpha * pull).
Proof. by rewrite /kappa /pull !mulrA (mulrC alpha). Qed.

Let strength_gt0 alpha : 0 <= alpha -> 0 < h + alpha * pull.
Proof. by move=> al0; rewrite ltr_spaddl // mulr_ge0 // ltW. Qed.

Lemma kappa_gt0 alpha : 0 <= alpha -> 0 < kappa h g alpha.
Proof. by move=> al0; rewrite kappaE divr_gt0 ?strength_gt0. Qed.

Lemma kappa_lt alpha alpha' :
  0 <= alpha -> alpha < alpha' -> kappa h g alpha' < kappa h g alpha.
Proof.
move=> al0 lt; have al'0 := le_trans al0 (ltW lt).
by rewrite !kappaE ltr_pmul2l // ltf_pinv ?posrE ?strength_gt0 // ltr_add2l ltr_pmul2r.
Qed.

Lemma kappa_vanishes e : 0 < e -> exists alpha, 0 <= alpha /\ kappa h g alpha < e.
Proof.
move=> e0; have al0 : 0 <= h / (e * pull) by rewrite ltW // divr_gt0 // mulr_gt0.
exists (h / (e * pull)); split=> //; rewrite kappaE ltr_pdivr_mulr ?strength_gt0 //.
have -> : e * (h + h / (e * pull) * pull) = e * h + h by field; rewrite !gt_eqF.
by rewrite ltr_addr mulr_gt0.
Qed.

End Kappa.

(** ** The spurious variance *)

(** How far the pull of agent [j] counts in what agent [i] ends up with. *)
Definition coefficient k (i j : K) : F := (1 - k) / N + (if j == i then k else 0).

Lemma shrunk_coefficients k us i :
  mean us + k * (us i - mean us) = \sum_j coefficient k i j * us j.
Proof.
rewrite (eq_bigr (fun j => (1 - k) / N * us j + (if j == i then k * us j else 0))).
  rewrite big_split /= -mulr_sumr sum_mean -big_mkcond big_pred1_eq.
  by field; rewrite gt_eqF // (agents_gt0 i).
by move=> j _; rewrite /coefficient mulrDl; case: eqP => // _; rewrite mul0r.
Qed.

(** Pulls of variance [sigma2], any two of them with correlation [rho]. *)
Definition covariance (sigma2 : F) rho (j l : K) : F := sigma2 * (if j == l then 1 else rho).

(** The variance of what agent [i] ends up with. *)
Definition variance (sigma2 : F) rho k (i : K) : F :=
  \sum_j \sum_l coefficient k i j * coefficient k i l * covariance sigma2 rho j l.

Theorem shrinkage_variance sigma2 rho k i :
  variance sigma2 rho k i =
    sigma2 * ((1 / N + (1 - 1 / N) * rho) + (1 - 1 / N) * (1 - rho) * k ^+ 2).
Proof.
have N0 := agents_gt0 i; pose c := (1 - k) / N; pose a := coefficient k i.
have sum1 : \sum_j a j = 1.
  rewrite big_split /= sum_agents -big_mkcond big_pred1_eq.
  by field; rewrite gt_eqF.
have sum2 : \sum_j a j ^+ 2 = (1 - k ^+ 2) / N + k ^+ 2.
  rewrite (eq_bigr (fun j => c ^+ 2 + (if j == i then (c + k) ^+ 2 - c ^+ 2 else 0))).
    rewrite big_split /= sum_agents -big_mkcond big_pred1_eq /c.
    by field; rewrite gt_eqF.
  by move=> j _; rewrite /a /coefficient -/c; case: eqP => _; ring.
have inner j : \sum_l a j * a l * covariance sigma2 rho j l =
    sigma2 * rho * a j + sigma2 * (1 - rho) * a j ^+ 2.
  rewrite (eq_bigr (fun l => sigma2 * rho * a j * a l +
      (if l == j then sigma2 * (1 - rho) * (a j * a l) else 0))).
    by rewrite big_split /= -mulr_sumr sum1 mulr1 -big_mkcond big_pred1_eq.
  by move=> l _; rewrite /covariance (eq_sym j); case: eqP => _; ring.
rewrite /variance (eq_bigr _ (fun j _ => inner j)) big_split /= -!mulr_sumr sum1 sum2.
by field; rewrite gt_eqF.
Qed.

(** Independent pulls. *)
Corollary independent_variance sigma2 k i :
  variance sigma2 0 k i = sigma2 * (1 / N + (1 - 1 / N) * k ^+ 2).
Proof. by rewrite shrinkage_variance; congr (_ * _); ring. Qed.

(** However strong the distillation, what the pulls have in common stays. *)
Corollary variance_floor sigma2 rho k i :
  0 <= sigma2 -> rho <= 1 ->
  sigma2 * (1 / N + (1 - 1 / N) * rho) <= variance sigma2 rho k i.
Proof.
move=> s0 r1; rewrite shrinkage_variance ler_wpmul2l // ler_addl.
apply: mulr_ge0 (sqr_ge0 k); rewrite mulr_ge0 ?subr_ge0 //.
by rewrite div1r invf_le1 ?(agents_gt0 i) // ler1n; apply/card_gt0P; exists i.
Qed.

End Scalars.

(** ** Weight vectors *)

Section Vectors.

Variables (F : realFieldType) (K : finType) (n : nat).
Implicit Types (u us : K -> 'cV[F]_n) (H G : 'M[F]_n) (alpha : F).
Notation N := (agents F K).

Definition mean_vector u : 'cV[F]_n := N^-1 *: \sum_i u i.

(** The gradient of the loss of proofs/B6.md, times N, vanishes; [H] and [G] are symmetric there. *)
Definition stationary_vectors H G alpha us u : Prop :=
  forall i, H *m (u i - us i) +
    (2%:R * alpha / (N - 1)) *: (G *m (\sum_(j | j != i) (u i - u j))) = 0.

(** What a deviation from the mean is divided by, in units of [H]. *)
Definition strength H G alpha : 'M[F]_n := H + (2%:R * alpha * N / (N - 1)) *: G.

Lemma sum_mean_vector u : \sum_i u i = N *: mean_vector u.
Proof.
have [i _|noK] := pickP (@predT K); last first.
  by rewrite /agents (eq_card0 noK) scale0r big_pred0.
by rewrite scalerA divff ?scale1r // gt_eqF ?(agents_gt0 F i).
Qed.

Lemma stationary_vectors_mean H G alpha us u :
  stationary_vectors H G alpha us u <->
    forall i, strength H G alpha *m (u i - mean_vector u) = H *m (us i - mean_vector u).
Proof.
suff eq i : H *m (u i - us i) +
    (2%:R * alpha / (N - 1)) *: (G *m (\sum_(j | j != i) (u i - u j))) =
    strength H G alpha *m (u i - mean_vector u) - H *m (us i - mean_vector u).
  split=> st i; first by apply/eqP; rewrite -subr_eq0 -eq st.
  by rewrite eq st subrr.
rewrite sum_differences sum_mean_vector -scaler_nat -scalerBr -scalemxAr scalerA.
rewrite /strength mulmxDl -scalemxAl addrAC -mulmxBr opprB addrA subrK.
by congr (_ + _ *: _); rewrite mulrAC.
Qed.

Lemma sum_deviations u (x : 'cV[F]_n) : \sum_i (u i - x) = N *: (mean_vector u - x).
Proof. by rewrite sumrB sumr_const -scaler_nat sum_mean_vector -scalerBr. Qed.

(** The mean is kept. *)
Theorem shrinkage_vectors_mean H G alpha us u :
  H \in unitmx -> stationary_vectors H G alpha us u -> mean_vector u = mean_vector us.
Proof.
move=> Hu /stationary_vectors_mean st.
have [i _|noK] := pickP (@predT K); last by rewrite /mean_vector !big_pred0.
have : \sum_i strength H G alpha *m (u i - mean_vector u) = \sum_i H *m (us i - mean_vector u).
  by apply: eq_bigr => j _; apply: st.
rewrite -!mulmx_sumr !sum_deviations subrr scaler0 mulmx0 => /(congr1 (mulmx (invmx H))).
rewrite mulmx0 mulKmx // => /esym/eqP.
by rewrite scaler_eq0 gt_eqF ?(agents_gt0 F i) //= subr_eq0 => /eqP.
Qed.

(** Each deviation from it is multiplied by [strength^-1 H]. *)
Theorem shrinkage_vectors H G alpha us u :
  H \in unitmx -> strength H G alpha \in unitmx ->
  stationary_vectors H G alpha us u <->
    forall i, u i = mean_vector us +
      invmx (strength H G alpha) *m H *m (us i - mean_vector us).
Proof.
move=> Hu Mu; split=> [st i|uE].
  rewrite -(shrinkage_vectors_mean Hu st) -mulmxA.
  by move/stationary_vectors_mean: st => <-; rewrite mulKmx // addrC subrK.
apply/stationary_vectors_mean => i; have mE : mean_vector u = mean_vector us.
  rewrite {1}/mean_vector (eq_bigr _ (fun j _ => uE j)) big_split -mulmx_sumr sum_deviations /=.
  rewrite subrr scaler0 mulmx0 addr0 sumr_const -scaler_nat scalerK //.
  by rewrite gt_eqF ?(agents_gt0 F i).
by rewrite mE uE addrAC subrr add0r !mulmxA mulmxV // mul1mx.
Qed.

(** Positive definite matrices need not be symmetric here. *)
Definition positive_definite H : Prop :=
  forall x : 'rV[F]_n, x != 0 -> 0 < (x *m H *m x^T) 0 0.

Lemma positive_definite_unit H : positive_definite H -> H \in unitmx.
Proof.
move=> Hpos; rewrite -row_free_unit; apply: inj_row_free => x xH.
apply/eqP; apply: contraT => /Hpos; by rewrite xH mul0mx mxE ltxx.
Qed.

Lemma strength_positive H G alpha :
  positive_definite H -> positive_definite G -> 0 <= alpha ->
  positive_definite (strength H G alpha).
Proof.
move=> Hpos Gpos al0 x x0; rewrite mulmxDr mulmxDl -scalemxAr -scalemxAl mxE [X in _ + X]mxE.
rewrite ltr_spaddl ?Hpos // mulr_ge0 ?(ltW (Gpos x x0)) //.
have [i _|noK] := pickP (@predT K); last by rewrite /agents (eq_card0 noK) mulr0 mul0r.
by rewrite !mulr_ge0 ?(others_ge0 F i) ?ler0n.
Qed.

(** As proofs/B6.md states it. *)
Corollary shrinkage_positive_definite H G alpha us u :
  positive_definite H -> positive_definite G -> 0 <= alpha ->
  stationary_vectors H G alpha us u <->
    forall i, u i = mean_vector us +
      invmx (strength H G alpha) *m H *m (us i - mean_vector us).
Proof.
move=> Hpos Gpos al0; apply: shrinkage_vectors; apply: positive_definite_unit => //.
exact: strength_positive.
Qed.

End Vectors.
