# Programs on several GPUs; they skip where a host has fewer GPUs than the test has ranks.
if(NOT NCCL_INCLUDE_DIR OR NOT NCCL_LIBRARY)
  return()
endif()
nx_test_program(test_nccl SOURCES test_nccl.cpp DEPS nx_cuda nx_comm)
nx_test_program(gpu_stall_program SOURCES gpu_stall_program.cpp DEPS nx_cuda nx_comm)
set_target_properties(gpu_stall_program PROPERTIES ENABLE_EXPORTS ON)
add_dependencies(gpu_tests test_nccl gpu_stall_program)

# nx_gpu_ranks_test(name ranks command...): one GPU per rank; no other test may use them meanwhile.
function(nx_gpu_ranks_test name ranks)
  add_test(NAME ${name} COMMAND ${ARGN})
  set_tests_properties(${name} PROPERTIES LABELS "gpu;ranks-${ranks}" RESOURCE_LOCK gpu SKIP_RETURN_CODE 77 TIMEOUT 300
                       ENVIRONMENT "${NX_MPI_ENVIRONMENT};PYTHONDONTWRITEBYTECODE=1;PYTHONPATH=${PROJECT_SOURCE_DIR}/tests/mpi")
endfunction()

foreach(ranks 2 4)
  nx_gpu_ranks_test(gpu.nccl_${ranks} ${ranks} ${MPIEXEC_EXECUTABLE} -n ${ranks} ${NX_MPI_LAUNCH} $<TARGET_FILE:test_nccl>)
  foreach(case stop skip flood kill)
    nx_gpu_ranks_test(gpu.watchdog_${case}_${ranks} ${ranks} ${Python3_EXECUTABLE}
                      ${CMAKE_CURRENT_LIST_DIR}/test_gpu_watchdog.py ${case} ${ranks}
                      ${CMAKE_CURRENT_BINARY_DIR}/watchdog/${case}_${ranks} $<TARGET_FILE:gpu_stall_program>
                      ${MPIEXEC_EXECUTABLE} ${NX_MPI_LAUNCH})
  endforeach()
endforeach()
