/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Types, sections and helpers (by number) for BPF programs. Written out so that
 * the objects depend on nothing but clang: no kernel headers, no libbpf, no
 * vmlinux.h.
 */
#ifndef SCAP_BPF_HELPERS_H
#define SCAP_BPF_HELPERS_H

#include "../abi/arch_gen.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;
typedef _Bool bool;

#define true  1
#define false 0
#define NULL  ((void *)0)

#define SEC(name) __attribute__((section(name), used))
#undef __always_inline
#define __always_inline	      inline __attribute__((always_inline))
#define __noinline	      __attribute__((noinline))
#define __weak		      __attribute__((weak))
#define __ksym		      __attribute__((section(".ksyms")))
#define __core		      __attribute__((preserve_access_index))
#define likely(x)	      __builtin_expect(!!(x), 1)
#define unlikely(x)	      __builtin_expect(!!(x), 0)
#define memcpy		      __builtin_memcpy
#define offsetof(type, field) __builtin_offsetof(type, field)

/* Hides a value from the compiler, so that a bound check stays where the verifier needs it. */
#define opaque(v) asm volatile("" : "+r"(v))

/* BTF map definitions. */
#define map_uint(name, val)	   int(*name)[val]
#define map_type(name, val)	   typeof(val) *name
#define map_array(name, val)	   typeof(val) *name[]
#define BPF_MAP_TYPE_ARRAY	   2
#define BPF_MAP_TYPE_PROG_ARRAY	   3
#define BPF_MAP_TYPE_PERCPU_ARRAY  6
#define BPF_MAP_TYPE_LRU_HASH	   9
#define BPF_MAP_TYPE_ARRAY_OF_MAPS 12
#define BPF_MAP_TYPE_RINGBUF	   27
#define BPF_F_MMAPABLE		   (1U << 10)
#define BPF_RB_NO_WAKEUP	   1
#define BPF_RB_FORCE_WAKEUP	   2

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static void (*const bpf_tail_call)(void *ctx, void *prog_array, u32 index) = (void *)12;
static u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;
static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static u64 (*const bpf_get_current_task)(void) = (void *)35;
static long (*const bpf_probe_read_user)(void *dst, u32 size, const void *src) = (void *)112;
static long (*const bpf_probe_read_kernel)(void *dst, u32 size, const void *src) = (void *)113;
static long (*const bpf_probe_read_user_str)(void *dst, u32 size, const void *src) = (void *)114;
static long (*const bpf_probe_read_kernel_str)(void *dst, u32 size, const void *src) = (void *)115;
static u64 (*const bpf_ktime_get_boot_ns)(void) = (void *)125;
static long (*const bpf_ringbuf_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;
static void *(*const bpf_ringbuf_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *data, u64 flags) = (void *)132;
static void (*const bpf_ringbuf_discard)(void *data, u64 flags) = (void *)133;
static void *(*const bpf_this_cpu_ptr)(const void *percpu) = (void *)154;
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158; /* 5.11 */
static u64 (*const bpf_task_pt_regs)(struct task_struct *task) = (void *)175;	    /* 5.15 */
static void *(*const bpf_map_lookup_percpu_elem)(void *map, const void *key, u32 cpu) = (void *)195; /* 5.18 */

/* 6.2: a pointer cast to a kernel type, which loads may follow; the verifier turns the call into a move. */
extern void *bpf_rdonly_cast(const void *obj, u32 btf_id) __ksym __weak;

/* 6.10; around calls of global functions since 6.15. */
extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

/* CO-RE questions, answered when the program is loaded. */
#define core_field_exists(field)    __builtin_preserve_field_info(field, 2)
#define core_field_size(field)	    __builtin_preserve_field_info(field, 1)
#define core_field_offset(field)    __builtin_preserve_field_info(field, 0)
#define core_type_id(type)	    __builtin_btf_type_id(*(type *)0, 1)
#define core_type_exists(type)	    __builtin_preserve_type_info(*(type *)0, 0)
#define core_type_size(type)	    __builtin_preserve_type_info(*(type *)0, 1)
#define core_enum_exists(type, val) __builtin_preserve_enum_value(*(typeof(type) *)val, 0)
#define core_enum_value(type, val)  __builtin_preserve_enum_value(*(typeof(type) *)val, 1)

#endif
