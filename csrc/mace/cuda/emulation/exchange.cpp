// SPDX-License-Identifier: GPL-2.0-or-later
// What lanes of a warp do together.
#include "mace/cuda/emulation/machine.h"

namespace emulation {
namespace {

void check_partners(const Thread *warp, unsigned lanes, const Thread &me)
{
  for (int k = 0; k < WARP_LANES; ++k) {
    if (!(lanes >> k & 1u)) continue;
    const Thread &other = warp[k];
    if (other.mask != me.mask || other.what != me.what || other.site.line != me.site.line || std::strcmp(other.site.file, me.site.file))
      fail("block (%u,%u,%u): lane %d is at %s:%d with mask %08x, lane %d of the same mask at %s:%d with mask %08x", blockIdx.x, blockIdx.y,
           blockIdx.z, lane(), me.site.file, me.site.line, me.mask, k, other.site.file, other.site.line, other.mask);
    if (me.what == Exchange::Shuffle && (other.from < 0 || other.from >= WARP_LANES || !(lanes >> other.from & 1u)))
      fail("%s:%d: lane %d reads lane %d, which is not in mask %08x", me.site.file, me.site.line, k, other.from, lanes);
  }
}

// the last lane that comes gives all lanes their results
void distribute(Thread *warp, unsigned lanes, const Thread &me, char *before, char *after)
{
  unsigned votes = 0;
  for (int k = 0; k < WARP_LANES; ++k)
    if (lanes >> k & 1u && warp[k].value) votes |= 1u << k;
  for (int k = 0; k < WARP_LANES; ++k) {
    if (!(lanes >> k & 1u)) continue;
    warp[k].result = me.what == Exchange::Shuffle ? warp[warp[k].from].value : votes;
    if (me.what == Exchange::Sync) LMP_UQ_TAKE(before + k);
    if (&warp[k] != &me) wake(static_cast<int>(&warp[k] - threads));
  }
  for (int k = 0; k < WARP_LANES && me.what == Exchange::Sync; ++k)
    if (lanes >> k & 1u) LMP_UQ_GIVE(after + k);
}

}    // namespace

int lane() { return current % WARP_LANES; }

int first_of_segment(int width)
{
  if (width < 1 || width > WARP_LANES || width & (width - 1)) fail("a shuffle in segments of %d lanes", width);
  return lane() & ~(width - 1);
}

std::uint64_t meet(unsigned mask, Exchange what, std::uint64_t value, int from, Site site)
{
  const int w = current / WARP_LANES, mine = lane(), size = std::min(WARP_LANES, n_threads - w * WARP_LANES);
  const unsigned lanes = size < WARP_LANES ? mask & ((1u << size) - 1) : mask;
  Thread *const warp = &threads[w * WARP_LANES], &me = warp[mine];
  if (!(lanes >> mine & 1u)) fail("%s:%d: lane %d is not in its mask %08x", site.file, site.line, mine, mask);
  me.site = site, me.mask = mask, me.what = what, me.value = value, me.from = from;
  char *before = orders + 2 + w * WARP_LANES, *after = before + n_threads;    // an address of each lane to give, and one to take
  if (what == Exchange::Sync) LMP_UQ_GIVE(before + mine);                     // the others order no memory
  in_warp[w] |= 1u << mine;
  if ((in_warp[w] & lanes) != lanes) leave(IN_WARP);
  else {
    check_partners(warp, lanes, me);
    in_warp[w] &= ~lanes;
    distribute(warp, lanes, me, before, after);
  }
  if (what == Exchange::Sync) LMP_UQ_TAKE(after + mine);
  return me.result;
}

}    // namespace emulation
