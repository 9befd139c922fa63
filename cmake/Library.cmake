# libcooper: the library room and all below it as one shared object and one archive, with only the C interface visible.
if(COOPER_SANITIZE OR COOPER_COVERAGE OR COOPER_FUZZ)
  return()
endif()
include(GNUInstallDirs)

add_library(libcooper SHARED ${CMAKE_SOURCE_DIR}/src/library/c_api.cpp)
set_target_properties(libcooper PROPERTIES OUTPUT_NAME cooper VERSION ${PROJECT_VERSION} SOVERSION 0
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
target_compile_options(libcooper PRIVATE -fno-exceptions)
# Whoever loads it has a C++ library of their own, or none: ours stays inside.
target_link_options(libcooper PRIVATE -static-libgcc -Wl,--no-undefined
  -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/libcooper.map)
set_property(TARGET libcooper APPEND PROPERTY LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/libcooper.map)
target_link_libraries(libcooper PRIVATE cooper_library cooper_settings cooper_warnings)

# One archive of the library room and every room it needs, for programs that link statically.
set(script "create ${CMAKE_BINARY_DIR}/lib/libcooper.a\n")
set(archives "")
set(rooms cooper_library)
while(rooms)
  list(POP_FRONT rooms room)
  if(NOT room IN_LIST archives)
    string(APPEND script "addlib $<TARGET_FILE:${room}>\n")
    list(APPEND archives ${room})
    get_target_property(below ${room} COOPER_ROOMS)
    if(below)
      list(APPEND rooms ${below})
    endif()
  endif()
endwhile()
string(APPEND script "save\nend\n")
file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/libcooper.mri CONTENT "${script}")
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/lib/libcooper.a DEPENDS ${archives} ${CMAKE_BINARY_DIR}/libcooper.mri
  COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/lib
  COMMAND sh -c "'${CMAKE_AR}' -M <'${CMAKE_BINARY_DIR}/libcooper.mri'" VERBATIM)
add_custom_target(libcooper_archive ALL DEPENDS ${CMAKE_BINARY_DIR}/lib/libcooper.a)

configure_file(${CMAKE_SOURCE_DIR}/cmake/cooper.pc.in ${CMAKE_BINARY_DIR}/cooper.pc @ONLY)
install(TARGETS libcooper LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} NAMELINK_COMPONENT devel)
install(FILES ${CMAKE_BINARY_DIR}/lib/libcooper.a DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_SOURCE_DIR}/include/cooper/cooper.h ${CMAKE_SOURCE_DIR}/include/cooper/cooper.hpp
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cooper)
install(FILES ${CMAKE_BINARY_DIR}/cooper.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
